"""Synaptic operations: one for every synapse that a spike crosses."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, reduce
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from spikeformer.error_handling import ArgumentError, check_positive_int


def window_reach(
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """Return how many windows of a convolution cover each pixel, a tensor of shape `size`.

    Args:
        size: Length of the input along each spatial axis; the others have one number for each too.
        kernel: Length of the kernel.
        stride: Steps of the kernel.
        padding: Zeros on both sides of the input.
        dilation: Distance of the kernel's elements.

    Example:
        >>> window_reach([4], [3], [1], [1], [1]).tolist()
        [2.0, 3.0, 3.0, 2.0]
    """
    axes = map(_reach_along, size, kernel, stride, padding, dilation)
    return reduce(lambda plane, axis: plane.unsqueeze(-1) * axis, axes, torch.ones(()))


@lru_cache(maxsize=1024)
def _reach_along(size: int, kernel: int, stride: int, padding: int, dilation: int) -> Tensor:
    windows = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    starts = torch.arange(max(windows, 0)) * stride - padding
    covered = (starts.unsqueeze(1) + torch.arange(kernel) * dilation).flatten()
    covered = covered[(covered >= 0) & (covered < size)]
    return torch.bincount(covered, minlength=size).float()


def spread_of_inputs(
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    output_size: Sequence[int],
) -> Tensor:
    """Return how many outputs each pixel of a transposed convolution reaches, of shape `size`.

    Args:
        size: Length of the input along each spatial axis; the others have one number for each too.
        kernel: Length of the kernel.
        stride: Steps of the kernel.
        padding: What is cut off from both sides of the output.
        dilation: Distance of the kernel's elements.
        output_size: Length of the output.

    Example:
        >>> spread_of_inputs([3], [3], [2], [1], [1], [5]).tolist()
        [2.0, 3.0, 2.0]
    """
    axes = map(_spread_along, size, kernel, stride, padding, dilation, output_size)
    return reduce(lambda plane, axis: plane.unsqueeze(-1) * axis, axes, torch.ones(()))


@lru_cache(maxsize=1024)
def _spread_along(
    size: int, kernel: int, stride: int, padding: int, dilation: int, output_size: int
) -> Tensor:
    reached = torch.arange(size)[:, None] * stride - padding + torch.arange(kernel) * dilation
    return ((reached >= 0) & (reached < output_size)).sum(1).float()


def fan_out(layer: nn.Module, inputs: Tensor) -> Tensor:
    """Return how many synapses leave each input of a layer.

    Args:
        layer: `nn.Linear` or `nn.Conv2d` (any stride, padding, dilation, groups).
        inputs: One input batch, (..., in_features) or (batch, channels, height, width).

    Returns:
        Tensor that broadcasts against `inputs`. Inputs at the border of a convolution reach fewer
        outputs than those inside.

    Raises:
        ArgumentError: The layer is of another type.
    """
    if isinstance(layer, nn.Linear):
        return inputs.new_full((), layer.out_features)
    if isinstance(layer, nn.Conv2d) and not isinstance(layer.padding, str):
        geometry = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        reach = window_reach(inputs.shape[-2:], *geometry).to(inputs)
        return reach * (layer.out_channels // layer.groups)
    raise ArgumentError(
        "layer", type(layer).__name__, "nn.Linear or nn.Conv2d with numeric padding"
    )


class SynapticOperations(Metric):
    """Synaptic operations per sample: for every non-zero input, the synapses that leave it.

    An input of 2 (two spikes at once, as in SEW residuals) counts twice. Batch and time may be
    flattened together, as convolutions do.

    Args:
        max_spikes: D of the integer neurons that the inputs come from, whose n / D are n spikes; 1
            where inputs are integer counts of spikes.
        **kwargs: Arguments of `torchmetrics.Metric`.
    """

    full_state_update = False
    higher_is_better = False
    operations: Tensor
    samples: Tensor

    def __init__(self, max_spikes: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_spikes = check_positive_int("max_spikes", max_spikes)
        self.add_state("operations", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("samples", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, inputs: Tensor, layer: nn.Module, num_samples: int) -> None:
        """Add one call of `layer` on spikes `inputs` that belong to `num_samples` samples."""
        # In float32, since half precision cannot hold most fan-outs.
        spikes = inputs.detach().float().abs()
        spikes = spikes.ceil() if self.max_spikes == 1 else (spikes * self.max_spikes).round()
        self.operations += (spikes * fan_out(layer, spikes)).sum(dtype=torch.float64)
        self.samples += num_samples

    def compute(self) -> Tensor:
        """Return synaptic operations per sample; 0 where nothing was seen."""
        return (self.operations / self.samples.clamp(min=1)).float()
