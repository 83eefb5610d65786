"""Synaptic operations: one for every synapse that a spike crosses."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input
from torchmetrics import Metric

from spikeformer.error_handling import ArgumentError


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
        # A transposed convolution of ones counts, for each pixel, the windows that cover it.
        with torch.no_grad():
            kernel = inputs.new_ones(1, 1, *layer.kernel_size)
            plane = inputs.new_ones(1, 1, *inputs.shape[-2:])
            geometry = (layer.stride, layer.padding, layer.dilation)
            windows = F.conv2d(plane, kernel, None, *geometry)
            reach: Tensor = conv2d_input(  # type: ignore[no-untyped-call]
                plane.shape, kernel, torch.ones_like(windows), *geometry
            )
        return reach * (layer.out_channels // layer.groups)
    raise ArgumentError(
        "layer", type(layer).__name__, "nn.Linear or nn.Conv2d with numeric padding"
    )


class SynapticOperations(Metric):
    """Synaptic operations per sample: for every non-zero input, the synapses that leave it.

    An input of 2 (two spikes at once, as in SEW residuals) counts twice. Batch and time may be
    flattened together, as convolutions do.
    """

    full_state_update = False
    higher_is_better = False
    operations: Tensor
    samples: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("operations", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("samples", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, inputs: Tensor, layer: nn.Module, num_samples: int) -> None:
        """Add one call of `layer` on spikes `inputs` that belong to `num_samples` samples."""
        # In float32, since half precision cannot hold most fan-outs.
        spikes = inputs.detach().abs().ceil().float()
        self.operations += (spikes * fan_out(layer, spikes)).sum(dtype=torch.float64)
        self.samples += num_samples

    def compute(self) -> Tensor:
        """Return synaptic operations per sample; 0 where nothing was seen."""
        return (self.operations / self.samples.clamp(min=1)).float()
