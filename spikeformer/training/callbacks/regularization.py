"""Adds the cost of firing to the loss."""

from __future__ import annotations

from typing import Any, cast

import lightning as L
import torch
from torch import Tensor

from spikeformer.error_handling import check_interval, check_positive
from spikeformer.instrument import ModuleWatch, watch_spikes
from spikeformer.training.callbacks.undone import UndoneCallback
from spikeformer.training.module import SpikingModule


class SpikeRegularization(UndoneCallback):
    r"""Penalises firing above a target: `weight * mean_layers(max(0, rate - target)^2)`.

    Args:
        weight: Factor on the penalty; above 0.
        target: Firing rate up to which spikes are free, in [0, 1].

    Source: activity regularisation as in Zenke & Vogels, 2021, doi:10.1162/neco_a_01367.
    """

    def __init__(self, weight: float = 1.0, target: float = 0.1) -> None:
        self.weight = check_positive("weight", weight)
        self.target = check_interval("target", target, 0.0, 1.0)
        self._watch: ModuleWatch | None = None
        self._rates: list[Tensor] = []

    def _observe(self, name: str, spikes: Tensor) -> None:
        if spikes.requires_grad:
            self._rates.append(spikes.float().mean())

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start watching every layer."""
        self._watch = watch_spikes(pl_module, self._observe, uncompiled=False)

    def on_train_batch_start(self, *args: Any) -> None:
        """Forget the batch before."""
        self._rates.clear()

    def penalty(self) -> Tensor | None:
        """Return the weighted penalty of the last forward pass, None if nothing fired."""
        if not self._rates:
            return None
        excess = (torch.stack(self._rates) - self.target).clamp(min=0)
        self._rates.clear()
        return self.weight * excess.square().mean()

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Hand the penalty to the module, which adds it to its loss."""
        if stage == "fit":
            cast(SpikingModule, pl_module).penalties["spike_regularization"] = self.penalty

    def undo(self, pl_module: L.LightningModule) -> None:
        """Leave neither hooks nor penalty behind."""
        if self._watch is not None:
            self._watch.close()
        self._rates.clear()
        cast(SpikingModule, pl_module).penalties.pop("spike_regularization", None)
