"""Logs how much a network fires while it trains."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch import Tensor

from spikeformer.error_handling import check_positive_int
from spikeformer.instrument import ModuleWatch, watch_spikes


class FiringRateMonitor(L.Callback):
    """Logs `train/firing_rate` and `val/firing_rate`, the mean over all neurons of the network.

    Args:
        every_n_steps: Training batches between two measurements; each costs one pass over the
            spikes. A compiled network runs uncompiled for the measured batches.
    """

    def __init__(self, every_n_steps: int = 10) -> None:
        self.every_n_steps = check_positive_int("every_n_steps", every_n_steps)
        self._watch: ModuleWatch | None = None
        self._spikes: list[Tensor] = []
        self._total = 0
        self.latest: Tensor | None = None
        """Rate of the training batch that was measured last."""

    def _start(self, module: L.LightningModule) -> None:
        self._spikes, self._total = [], 0
        self._watch = watch_spikes(module, self._observe)

    def _observe(self, name: str, spikes: Tensor) -> None:
        self._spikes.append(spikes.detach().sum(dtype=torch.float32))
        self._total += spikes.numel()

    def _stop(self) -> Tensor | None:
        if self._watch is None:
            return None
        self._watch.close()
        self._watch = None
        return torch.stack(self._spikes).sum() / self._total if self._total else None

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start watching, on every n-th batch."""
        if batch_idx % self.every_n_steps == 0:
            self._start(pl_module)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any
    ) -> None:
        """Log what was seen."""
        rate = self._log(pl_module, "train/firing_rate")
        self.latest = self.latest if rate is None else rate

    def on_validation_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any
    ) -> None:
        """Start watching."""
        self._start(pl_module)

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any
    ) -> None:
        """Log what was seen."""
        self._log(pl_module, "val/firing_rate")

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Leave no hooks behind."""
        self._stop()

    def _log(self, module: L.LightningModule, name: str) -> Tensor | None:
        rate = self._stop()
        if rate is not None:
            module.log(name, rate, on_step=False, on_epoch=True, sync_dist=True)
        return rate
