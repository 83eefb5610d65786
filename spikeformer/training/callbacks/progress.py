"""The progress bar: what a person watches while a network trains."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any, cast

import lightning as L
from lightning.pytorch.callbacks import TQDMProgressBar

from spikeformer.i18n import t
from spikeformer.training.module import SpikingModule

_SHOWN = {
    "train/loss_step": "loss",
    "train/accuracy": "accuracy",
    "train/firing_rate": "firing_rate",
    "val/accuracy": "val_accuracy",
    "val/loss": "val_loss",
}


class SpikingProgressBar(TQDMProgressBar):
    """Shows loss, accuracy and firing rate while training, and validation after each epoch.

    Args:
        refresh_rate: Batches between two updates. Where the output is no terminal, one line an
            epoch is printed instead of a bar.
    """

    def __init__(self, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate=refresh_rate if sys.stderr.isatty() else 0)
        self.interactive = sys.stderr.isatty()
        self._epoch_ended = False

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """Return what the bar shows, by short name."""
        known: dict[str, Any] = dict(trainer.callback_metrics)
        running = _running_accuracy(pl_module)
        if trainer.training and running is not None:
            known["train/accuracy"] = running
        if self._epoch_ended and "train/loss" in known:
            # That of the epoch, as all the numbers beside it, not of its last batch.
            known["train/loss_step"] = known["train/loss"]
        return {
            short: f"{float(known[name]):.3f}"
            for name, short in _SHOWN.items()
            if name in known and math.isfinite(float(known[name]))
        }

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Update the bar, or print the epoch's line where there is no bar."""
        self._epoch_ended = True
        super().on_train_epoch_end(trainer, pl_module)
        if not self.interactive and trainer.is_global_zero:
            numbers = "  ".join(f"{k} {v}" for k, v in self.get_metrics(trainer, pl_module).items())
            number, most = trainer.current_epoch + 1, trainer.max_epochs
            if most is not None and most >= 0:
                line = t("training.epoch", number=number, most=most, metrics=numbers)
            else:
                line = t("training.epoch_without_end", number=number, metrics=numbers)
            print(line, flush=True)
        self._epoch_ended = False


def _running_accuracy(module: L.LightningModule) -> float | None:
    if not isinstance(module, SpikingModule):
        return None
    metrics = cast(Mapping[str, Any], module.metrics["train_metrics"])
    if "accuracy" not in metrics:
        return None
    metric = metrics["accuracy"]
    # Not `compute()`: it waits for all processes, and only the first one has a progress bar.
    return float(metric.mean_value / metric.weight) if metric.update_called else None
