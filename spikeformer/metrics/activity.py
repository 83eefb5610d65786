"""How active the neurons of a layer are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from spikeformer.error_handling import ArgumentError, check_interval


class FiringRate(Metric):
    """Spikes per neuron and timestep, over everything seen: the mean of the spike tensors.

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
    """Share of a layer's neurons whose own firing rate fulfils a condition."""

    full_state_update = False
    higher_is_better = False
    counts: Tensor
    steps: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # The size of the layer is known with the first spikes; until then one empty neuron.
        self.add_state("counts", torch.zeros(0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("steps", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, spikes: Tensor) -> None:
        """Add spikes of shape (batch, timesteps, *features), always with the same features."""
        counts = spikes.detach().flatten(2).sum(dim=(0, 1), dtype=torch.float64)
        if self.counts.numel() == 0:
            self.counts = counts
        elif self.counts.shape == counts.shape:
            self.counts += counts
        else:
            raise ArgumentError(
                "spikes",
                tuple(spikes.shape),
                f"a layer of {self.counts.numel()} neurons, as before",
            )
        self.steps += spikes.shape[0] * spikes.shape[1]

    @property
    def rates(self) -> Tensor:
        """Firing rate of each neuron, shape (neurons,)."""
        return self.counts / self.steps.clamp(min=1)

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
