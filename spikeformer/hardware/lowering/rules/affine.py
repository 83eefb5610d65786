"""Layers that are affine in one image or sequence, whatever their form: read off as a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import nn

from spikeformer.hardware.ir.operators import Sparse
from spikeformer.hardware.lowering.builder import GraphBuilder
from spikeformer.hardware.lowering.registry import lowers
from spikeformer.hardware.lowering.traced import Rows, TracedTensor

_ELEMENTS = 1 << 24
"""Numbers that a layer gets at once."""


def affine(builder: GraphBuilder, module: Any, x: TracedTensor, axes: int) -> TracedTensor:
    """Add a layer by what it makes of each input alone.

    Args:
        builder: The builder.
        module: A layer that is affine in its input, and takes a batch of it.
        x: Its input.
        axes: How many of its last axes make one input.
    """
    rows, frame = Rows(x, axes), tuple(x.shape[-axes:])
    run = type(module).forward
    offset = run(module, torch.zeros(1, *frame, dtype=torch.float64))
    chunk, blocks = max(1, _ELEMENTS // rows.width), []
    for first in range(0, rows.width, chunk):
        inputs = torch.eye(rows.width, dtype=torch.float64)[first : first + chunk]
        outputs = run(module, inputs.reshape(-1, *frame)) - offset
        blocks.append(sparse.csr_array(outputs.flatten(1).numpy(force=True)))
    one = sparse.vstack(blocks, format="csr").T
    operator = Sparse(sparse.csr_array(sparse.kron(sparse.eye_array(rows.count), one)))
    current = rows.features.map(operator)
    current = current.shift(np.tile(offset.flatten().numpy(force=True), rows.count))
    return rows.rebuild(current, tuple(offset.shape[1:]))


@lowers(
    nn.ConvTranspose2d,
    nn.AdaptiveAvgPool2d,
    nn.ZeroPad2d,
    nn.ConstantPad2d,
    nn.ReflectionPad2d,
    nn.ReplicationPad2d,
    nn.UpsamplingNearest2d,
    nn.UpsamplingBilinear2d,
    nn.Upsample,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
)
def image_layer(builder: GraphBuilder, module: nn.Module, x: TracedTensor) -> TracedTensor:
    """Add a layer of (frames, channels, rows, columns)."""
    return affine(builder, module, x, 3)


@lowers(nn.Conv1d, nn.ConvTranspose1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d)
def sequence_layer(builder: GraphBuilder, module: nn.Module, x: TracedTensor) -> TracedTensor:
    """Add a layer of (frames, channels, places)."""
    return affine(builder, module, x, 2)
