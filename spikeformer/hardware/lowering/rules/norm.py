"""Rules for normalisation: batch norm folds into the weights before it."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from spikeformer.hardware.lowering.builder import GraphBuilder
from spikeformer.hardware.lowering.registry import lowers, refuses
from spikeformer.hardware.lowering.traced import Rows, TracedTensor
from spikeformer.i18n import t
from spikeformer.models.norm import FrameBatchNorm, TokenBatchNorm


def _fold(builder: GraphBuilder, module: Any, x: TracedTensor, axis: int) -> TracedTensor:
    """Scale and shift every channel by the running statistics."""
    if module.running_mean is None:
        raise builder.refuse(t("hardware.batch_statistics"))
    moved = x.movedim(axis, -1)
    assert isinstance(moved, TracedTensor)
    mean, variance = module.running_mean.numpy(), module.running_var.numpy()
    scale, bias = 1 / np.sqrt(variance + module.eps), np.zeros_like(mean)
    if module.affine:
        scale, bias = scale * module.weight.numpy(force=True), module.bias.numpy(force=True)
    rows = Rows(moved, 1)
    folded = rows.features.scale(np.tile(scale, rows.count))
    for name, operator in folded.terms.items():
        builder.note_weights(operator, norm_of=rows.features.terms[name])
    folded = folded.shift(np.tile(bias - mean * scale, rows.count))
    normalised = rows.rebuild(folded, (len(mean),)).movedim(-1, axis)
    assert isinstance(normalised, TracedTensor)
    return normalised


@lowers(nn.BatchNorm1d, nn.BatchNorm2d)
def batch_norm(builder: GraphBuilder, module: nn.Module, x: TracedTensor) -> TracedTensor:
    """Fold torch's batch norm over (batch, channels, ...)."""
    return _fold(builder, module, x, 1)


@lowers(FrameBatchNorm)
def frame_batch_norm(builder: GraphBuilder, module: nn.Module, x: TracedTensor) -> TracedTensor:
    """Fold batch norm over (batch, timesteps, channels, rows, columns)."""
    return _fold(builder, module, x, 2)


@lowers(TokenBatchNorm)
def token_batch_norm(
    builder: GraphBuilder, module: nn.Module, x: TracedTensor, mask: Any = None
) -> TracedTensor:
    """Fold batch norm over (batch, timesteps, tokens, channels)."""
    return _fold(builder, module, x, -1)


@refuses(nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d)
def normalises_at_run_time(module: nn.Module) -> str:
    """Refuse statistics that change with every input."""
    return t("hardware.own_statistics")
