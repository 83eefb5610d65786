"""Rules for layers that pool or pass on."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from spikeformer.hardware.ir.operators import Convolution
from spikeformer.hardware.lowering.builder import GraphBuilder
from spikeformer.hardware.lowering.registry import lowers, refuses
from spikeformer.hardware.lowering.rules.affine import affine
from spikeformer.hardware.lowering.traced import Rows, TracedTensor
from spikeformer.i18n import t


@lowers(nn.Dropout, nn.Identity)
def identity(builder: GraphBuilder, module: nn.Module, x: TracedTensor) -> TracedTensor:
    """Pass on: nothing is dropped outside training."""
    return x


@lowers(nn.AvgPool2d)
def average_pool(builder: GraphBuilder, module: nn.AvgPool2d, x: TracedTensor) -> TracedTensor:
    """Average neighbours: a convolution of each channel by itself."""
    odd = module.ceil_mode or module.divisor_override or not module.count_include_pad
    if odd or Rows(x, 3).count != 1:
        return affine(builder, module, x, 3)
    rows, operator = _window(builder, module, x)
    kernel = operator.weights.shape[2] * operator.weights.shape[3]
    current = rows.features.map(operator).scale(1 / kernel)
    return rows.rebuild(current, (x.shape[-3], *operator.grid))


@lowers(nn.MaxPool2d)
def maximum_pool(builder: GraphBuilder, module: nn.MaxPool2d, x: TracedTensor) -> TracedTensor:
    """The maximum of spikes is their OR: a neuron without memory that fires if any of them does."""
    if not x.current.is_binary:
        raise builder.refuse(t("hardware.maximum_of_currents"))
    if module.ceil_mode or module.dilation not in (1, (1, 1)):
        raise builder.refuse(t("hardware.maximum_pool"))
    rows, operator = _window(builder, module, x)
    shape = (x.shape[-3], *operator.grid)
    spikes = builder.neurons(rows.features.map(operator), shape, decay=0.0, threshold=0.5)
    pooled = spikes.reshape(*x.shape[:-3], *shape)
    assert isinstance(pooled, TracedTensor)
    return pooled


def _window(builder: GraphBuilder, module: Any, x: TracedTensor) -> tuple[Rows, Convolution]:
    rows = Rows(x, 3)
    if rows.count != 1:
        raise builder.refuse(t("hardware.pools_several"))
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
    return t("hardware.has_softmax")


@refuses(nn.ReLU, nn.GELU, nn.SiLU)
def is_not_spiking(module: nn.Module) -> str:
    """Refuse activations that are no spikes."""
    return t("hardware.passes_reals")
