"""Rules for layers that pool or pass on."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from spikeformer.hardware.lowering.builder import GraphBuilder
from spikeformer.hardware.lowering.registry import lowers, refuses
from spikeformer.hardware.lowering.traced import Rows, TracedTensor
from spikeformer.hardware.operators import Convolution


@lowers(nn.Dropout, nn.Identity)
def identity(builder: GraphBuilder, module: nn.Module, x: TracedTensor) -> TracedTensor:
    """Pass on: nothing is dropped outside training."""
    return x


@lowers(nn.AvgPool2d)
def average_pool(builder: GraphBuilder, module: nn.AvgPool2d, x: TracedTensor) -> TracedTensor:
    """Average neighbours: a convolution of each channel by itself."""
    if module.ceil_mode or module.divisor_override or not module.count_include_pad:
        raise builder.refuse("needs ceil_mode=False, count_include_pad=True and no divisor.")
    rows, operator = _window(builder, module, x)
    kernel = operator.weights.shape[2] * operator.weights.shape[3]
    current = rows.features.map(operator).scale(1 / kernel)
    return rows.rebuild(current, (x.shape[-3], *operator.grid))


@lowers(nn.MaxPool2d)
def maximum_pool(builder: GraphBuilder, module: nn.MaxPool2d, x: TracedTensor) -> TracedTensor:
    """The maximum of spikes is their OR: a neuron without memory that fires if any of them does."""
    if not x.current.is_binary:
        raise builder.refuse(
            "takes the maximum of currents, which no spiking chip can. Pool spikes, behind a "
            "neuron, or let a convolution stride, as model=spiking_vit does."
        )
    if module.ceil_mode or module.dilation not in (1, (1, 1)):
        raise builder.refuse("needs ceil_mode=False and dilation=1.")
    rows, operator = _window(builder, module, x)
    shape = (x.shape[-3], *operator.grid)
    spikes = builder.neurons(rows.features.map(operator), shape, decay=0.0, threshold=0.5)
    pooled = spikes.reshape(*x.shape[:-3], *shape)
    assert isinstance(pooled, TracedTensor)
    return pooled


def _window(builder: GraphBuilder, module: Any, x: TracedTensor) -> tuple[Rows, Convolution]:
    rows = Rows(x, 3)
    if rows.count != 1:
        raise builder.refuse("pools several images a timestep.")
    channels, height, width = x.shape[-3:]
    kernel, stride, padding = (
        size if isinstance(size, tuple) else (size, size)
        for size in (module.kernel_size, module.stride, module.padding)
    )
    image = (channels, height, width)
    return rows, Convolution(np.ones((channels, 1, *kernel)), image, stride, padding, channels)


@refuses(nn.Softmax, nn.MultiheadAttention)
def has_softmax(module: nn.Module) -> str:
    """Refuse softmax."""
    return "has a softmax, which no spiking chip computes. Use attention=qk_token or sdsa."


@refuses(nn.ReLU, nn.GELU, nn.SiLU)
def is_not_spiking(module: nn.Module) -> str:
    """Refuse activations that are no spikes."""
    return "passes real numbers on. Put a LifNeuron in its place, or convert the network first."
