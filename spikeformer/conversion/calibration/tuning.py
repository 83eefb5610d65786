"""Thresholds and biases, layer by layer, in one pass over a calibration batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spikeformer.conversion.coding.coding import Coding
from spikeformer.conversion.coding.neuron import fire
from spikeformer.conversion.model import SpikingModel
from spikeformer.conversion.tracing.plan import Operation

SCALES = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8)
"""Multiples of the calibrated threshold that are tried."""


class LayerwiseTuner:
    """Chooses each site's thresholds by error, and lets the layer behind it make up for the rest.

    A site sees what the layers before it, already tuned, hand it. Of `SCALES` it takes the one with
    the least squared error `|r_T - x_T|²`: one for the whole site (`channel_wise=False`), or one
    for each channel. A linear layer then adds to its bias what the mean error would cost it,
    `b += W E[x_T - r_T]`.

    Args:
        spiking: The network; its thresholds and biases are changed.
        channel_wise: Choose for every channel by itself.
        correct_biases: Change biases.
    """

    def __init__(
        self, spiking: SpikingModel, *, channel_wise: bool, correct_biases: bool = True
    ) -> None:
        self.spiking, self.channel_wise = spiking, channel_wise
        self.correct_biases = correct_biases
        self._errors: dict[str, Tensor] = {}
        self._corrected: set[int] = set()

    def choose(self, site: str, rates: Tensor, theta: Tensor) -> Tensor:
        """Return the best of the scaled thresholds, and keep it."""
        coding = self.spiking.coding
        encoded = [
            _encoded(rates, theta * scale, coding, self.spiking.timesteps) for scale in SCALES
        ]
        errors = [rates[-1] - rate for rate in encoded]
        kept = theta.shape if self.channel_wise else ()
        costs = torch.stack([_summed(error.square(), kept) for error in errors])
        best = costs.argmin(dim=0)
        scales = torch.tensor(SCALES, device=theta.device)[best]
        chosen: Tensor = theta * scales
        self.spiking.thresholds.set(site, chosen)
        error = rates[-1] - _encoded(rates, chosen, coding, self.spiking.timesteps)
        self._errors[site] = error
        return chosen

    def correct(self, operation: Operation, parameters: tuple[Tensor | None, ...]) -> None:
        """Add to a linear layer's bias what its input's mean error takes away."""
        site = operation.sites.get("input")
        if not self.correct_biases or site is None or operation.function != "linear":
            return
        weight, bias = parameters
        source = self.spiking.plan.sites[site].source
        if weight is None or bias is None or id(bias) in self._corrected:
            return
        self._corrected.add(id(bias))
        mean = self._errors[source].flatten(0, -2).mean(dim=0)
        bias.add_(weight @ mean)


def _encoded(rates: Tensor, theta: Tensor, coding: Coding, timesteps: int) -> Tensor:
    first = timesteps if coding.encoding == "radix" else 1
    return fire(rates, theta, None, first, coding).rates[-1]


def _summed(values: Tensor, shape: Sequence[int]) -> Tensor:
    """Sum over every axis that a tensor of `shape` would be broadcast along."""
    if not len(shape):
        return values.sum()
    values = values.flatten(0, -len(shape) - 1).sum(dim=0) if values.ndim > len(shape) else values
    for axis, length in enumerate(shape):
        if length == 1:
            values = values.sum(dim=axis, keepdim=True)
    return values
