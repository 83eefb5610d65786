"""Spiking operations: one public function each, with a torch reference and fast kernels."""

from spikeformer.ops.dispatch import BACKENDS, resolve_backend
from spikeformer.ops.lif import LifState, lif
from spikeformer.ops.memory import keep_freed_memory
from spikeformer.ops.norm_lif import norm_lif
from spikeformer.ops.norm_pool import norm_pool
from spikeformer.ops.spike_attention import spike_attention
from spikeformer.ops.spike_encode import spike_encode
from spikeformer.ops.spike_linear import spike_conv2d, spike_linear
from spikeformer.ops.spike_match import spike_match
from spikeformer.ops.spike_pack import SpikeLayout, spike_pack, spike_unpack
from spikeformer.ops.surrogates import SURROGATES, spike

__all__ = [
    "BACKENDS",
    "SURROGATES",
    "LifState",
    "SpikeLayout",
    "keep_freed_memory",
    "lif",
    "norm_lif",
    "norm_pool",
    "resolve_backend",
    "spike",
    "spike_attention",
    "spike_conv2d",
    "spike_encode",
    "spike_linear",
    "spike_match",
    "spike_pack",
    "spike_unpack",
]
