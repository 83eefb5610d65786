"""Spike codes as an operator of torch, so that `torch.compile` and `torch.export` know it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikeformer.ops.dispatch import load_kernels
from spikeformer.ops.memory import empty_like


@torch.library.custom_op("spikeformer::spike_encode", mutates_args=())
def spike_encode_op(
    x_btf: Tensor,
    timesteps: int,
    code: str,
    parameter: float,
    key: Tensor | None,
    backend: str,
) -> Tensor:
    """Spikes (b, t, f) of values (b, t, f) or (b, 1, f); the arguments are the reference's."""
    return load_kernels("spike_encode", backend).forward(x_btf, timesteps, code, parameter, key)


@spike_encode_op.register_fake
def _(x_btf: Tensor, timesteps: int, *_: Any) -> Tensor:
    return empty_like(x_btf, (x_btf.shape[0], timesteps, x_btf.shape[2]))
