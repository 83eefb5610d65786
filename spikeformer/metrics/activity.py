"""How active the neurons of a layer are."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from spikeformer.error_handling import ArgumentError, check_interval


class FiringRate(Metric):
    """Spikes per neuron and timestep, over everything seen: the mean of the spike tensors.

    Of integer neurons, whose spikes are fractions n / D, it is the rate in each of the D binary
    steps that a timestep stands for.

    Example:
        >>> rate = FiringRate()
        >>> rate.update(torch.tensor([[[1.0, 0.0], [1.0, 0.0]]]))
        >>> rate.compute().item()
        0.5
    """

    full_state_update = False
    higher_is_better = None
    spikes: Tensor
    total: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("spikes", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, spikes: Tensor) -> None:
        """Add spikes of shape (batch, timesteps, *features)."""
        self.spikes += spikes.detach().sum(dtype=torch.float32)
        self.total += spikes.numel()

    def compute(self) -> Tensor:
        """Return the firing rate in [0, 1]; 0 where nothing was seen."""
        return (self.spikes / self.total.clamp(min=1)).float()


class _NeuronShare(Metric):
    """Share of a layer's neurons whose own firing rate fulfils a condition.

    Neurons are counted in rows: the first feature axis, which may be longer in one batch than in
    another, as sentences are. A row that a batch does not have was not seen there.
    """

    full_state_update = False
    higher_is_better = False
    counts: Tensor
    steps: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # The size of the layer is known with the first spikes.
        self.add_state("counts", torch.zeros(0, 0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("steps", torch.zeros(0, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, spikes: Tensor) -> None:
        """Add spikes of shape (batch, timesteps, *features).

        Of several feature axes the first may change in length from call to call.
        """
        rows = spikes.detach().sum(dim=(0, 1), dtype=torch.float32).double()
        rows = rows.unsqueeze(0) if rows.ndim < 2 else rows.flatten(1)
        if self.counts.numel() == 0:
            self.counts = rows.new_zeros(0, rows.shape[1])
            self.steps = rows.new_zeros(0)
        elif rows.shape[1] != self.counts.shape[1]:
            raise ArgumentError(
                "spikes",
                tuple(spikes.shape),
                f"a layer of {self.counts.shape[1]} neurons in each row, as before",
            )
        missing = max(0, rows.shape[0] - self.counts.shape[0])
        self.counts = F.pad(self.counts, (0, 0, 0, missing))
        self.steps = F.pad(self.steps, (0, missing))
        self.counts[: rows.shape[0]] += rows
        self.steps[: rows.shape[0]] += spikes.shape[0] * spikes.shape[1]

    @property
    def rates(self) -> Tensor:
        """Firing rate of each neuron, shape (rows, neurons in a row)."""
        return self.counts / self.steps.clamp(min=1).unsqueeze(1)

    def _share(self, fulfilled: Tensor) -> Tensor:
        return fulfilled.float().mean() if fulfilled.numel() else fulfilled.new_zeros(()).float()


class SilentNeurons(_NeuronShare):
    """Share of neurons that never fired, in [0, 1]."""

    def compute(self) -> Tensor:
        """Return the share of neurons without any spike."""
        return self._share(self.counts == 0)


class SaturatedNeurons(_NeuronShare):
    """Share of neurons that fire (nearly) always, in [0, 1].

    Args:
        rate: Firing rate from which a neuron counts as saturated.
        **kwargs: Arguments of `torchmetrics.Metric`.
    """

    def __init__(self, rate: float = 0.95, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = check_interval("rate", rate, 0.0, 1.0)

    def compute(self) -> Tensor:
        """Return the share of neurons that fire at `rate` or above."""
        return self._share(self.rates >= self.rate)
