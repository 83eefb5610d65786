"""Rules for layers that pool or pass on."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from spikeformer.hardware.ir.operators import Convolution, Sparse
from spikeformer.hardware.lowering.builder import GraphBuilder
from spikeformer.hardware.lowering.current import Current
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
    """The maximum of spikes is their OR: a neuron without memory that fires if any of them does.

    That of integer spikes goes from neighbour to neighbour, `max(a, b) = a + max(b - a, 0)`, along
    the rows and then along the columns. Neurons without memory that count take each step.
    """
    levels = None if x.current.is_binary else builder.levels(x.current)
    if not x.current.is_binary and levels is None:
        raise builder.refuse(t("hardware.maximum_of_currents"))
    if module.ceil_mode or module.dilation not in (1, (1, 1)):
        raise builder.refuse(t("hardware.maximum_pool"))
    rows, operator = _window(builder, module, x)
    shape = (x.shape[-3], *operator.grid)
    if levels is None:
        spikes = builder.neurons(rows.features.map(operator), shape, decay=0.0, threshold=0.5)
    else:
        current = _maximum(builder, rows.features, operator, levels)
        spikes = _count(builder, current, shape, levels)
    pooled = spikes.reshape(*x.shape[:-3], *shape)
    assert isinstance(pooled, TracedTensor)
    return pooled


def _maximum(builder: GraphBuilder, x: Current, window: Convolution, levels: int) -> Current:
    """Return the maximum of integer spikes in every window, as a sum of spikes."""
    channels, height, width = window.image
    out_height, out_width = window.grid
    for image, grid, axis in (
        ((channels, height, width), (height, out_width), 1),
        ((channels, height, out_width), (out_height, out_width), 0),
    ):
        first, *others = (
            x.map(_neighbour(window, image, axis, place))
            for place in range(window.weights.shape[2 + axis])
        )
        for other in others:
            above = _count(builder, other.add(first.scale(-1)), (channels, *grid), levels)
            first = first.add(above.current)
        x = first
    return x


def _neighbour(window: Convolution, image: tuple[int, int, int], axis: int, place: int) -> Sparse:
    """Return what picks one place of every window, along the columns (0) or the rows (1)."""
    kernel, stride, padding = [1, 1], [1, 1], [0, 0]
    kernel[axis] = window.weights.shape[2 + axis]
    stride[axis], padding[axis] = window.stride[axis], window.padding[axis]
    weights = np.zeros((image[0], 1, *kernel))
    weights.reshape(image[0], -1)[:, place] = 1
    pick = Convolution(weights, image, (stride[0], stride[1]), (padding[0], padding[1]), image[0])
    return Sparse(pick.matrix())


def _count(
    builder: GraphBuilder, current: Current, shape: tuple[int, ...], levels: int
) -> TracedTensor:
    """Add neurons that fire a current of n / levels as n spikes, and none where it is negative."""
    return builder.neurons(
        current, shape, decay=0.0, threshold=1 / levels, rule="count", levels=levels
    )


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
