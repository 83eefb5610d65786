"""Spiking operations: one public function each, with a torch reference and fast kernels."""

from spikeformer.ops.dispatch import BACKENDS, resolve_backend
from spikeformer.ops.lif import LifState, lif
from spikeformer.ops.norm_lif import norm_lif
from spikeformer.ops.surrogates import SURROGATES, spike

__all__ = ["BACKENDS", "SURROGATES", "LifState", "lif", "norm_lif", "resolve_backend", "spike"]
