"""Rules for layers with weights."""

from __future__ import annotations

from functools import reduce

import numpy as np
from torch import nn

from spikeformer.hardware.ir.operators import Convolution, TokenLinear
from spikeformer.hardware.lowering.builder import GraphBuilder
from spikeformer.hardware.lowering.current import Current
from spikeformer.hardware.lowering.registry import lowers
from spikeformer.hardware.lowering.rules.affine import affine
from spikeformer.hardware.lowering.traced import Rows, TracedTensor
from spikeformer.i18n import t
from spikeformer.models.delays import DelayLinear


@lowers(nn.Linear)
def linear(builder: GraphBuilder, module: nn.Linear, x: TracedTensor) -> TracedTensor:
    """Add one dense layer for every token."""
    rows = Rows(x, 1)
    current = rows.features.map(TokenLinear(module.weight.numpy(force=True), rows.count))
    _note(builder, current)
    if module.bias is not None:
        current = current.shift(np.tile(module.bias.numpy(force=True), rows.count))
    return rows.rebuild(current, (module.out_features,))


@lowers(DelayLinear)
def delays(builder: GraphBuilder, module: DelayLinear, x: TracedTensor) -> TracedTensor:
    """Add a dense layer for each delay, whose spikes come so many timesteps later."""
    rows = Rows(x, 1)
    if x.current.constant or rows.count != 1 or rows.features.bias.any():
        raise builder.refuse(t("hardware.delays_no_spikes"))
    weight, delay = module.weight.numpy(force=True), module.delays.numpy(force=True)
    currents = []
    for lag in np.unique(delay):
        part = rows.features.map(TokenLinear(np.where(delay == lag, weight, 0.0), 1))
        _note(builder, part)
        currents.append(builder.late(part, int(lag)))
    current = reduce(Current.add, currents)
    return rows.rebuild(current, (module.out_features,))


@lowers(nn.Conv2d)
def convolution(builder: GraphBuilder, module: nn.Conv2d, x: TracedTensor) -> TracedTensor:
    """Add a convolution of (frames, channels, rows, columns)."""
    rows = Rows(x, 3)
    plain = module.padding_mode == "zeros" and not isinstance(module.padding, str)
    if rows.count != 1 or not plain or any(step != 1 for step in module.dilation):
        return affine(builder, module, x, 3)
    channels, height, width = x.shape[-3:]
    stride, padding = ((int(pair[0]), int(pair[1])) for pair in (module.stride, module.padding))
    operator = Convolution(
        module.weight.numpy(force=True),
        (channels, height, width),
        stride,
        padding,
        module.groups,
    )
    current = rows.features.map(operator)
    _note(builder, current)
    if module.bias is not None:
        positions = int(np.prod(operator.grid))
        current = current.shift(np.repeat(module.bias.numpy(force=True), positions))
    return rows.rebuild(current, (module.out_channels, *operator.grid))


def _note(builder: GraphBuilder, current: Current) -> None:
    for operator in current.terms.values():
        builder.note_weights(operator)
