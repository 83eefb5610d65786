"""The progress bar: what a person watches while a network trains."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any, cast

import lightning as L
from lightning.pytorch.callbacks import TQDMProgressBar

from spikeformer.i18n import t
from spikeformer.training.callbacks.firing import FiringRateMonitor
from spikeformer.training.module import SpikingModule

_SHOWN = {
    "train/loss_step": "loss",
    "train/accuracy": "accuracy",
    "train/firing_rate": "firing_rate",
    "val/accuracy": "val_accuracy",
    "val/loss": "val_loss",
}


class SpikingProgressBar(TQDMProgressBar):
    """Shows loss, accuracy and firing rate while training, and prints a line after each epoch.

    The line has the epoch's means, with those of validation. It stays on the screen, above the bar;
    both count epochs from 1.

    Args:
        refresh_rate: Batches between two updates. Where the output is no terminal there is no bar,
            but the lines alone.
    """

    def __init__(self, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate=refresh_rate if sys.stderr.isatty() else 0)
        self.interactive = sys.stderr.isatty()
        self._epoch_ended = False
        self._before: dict[str, Any] = {}

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """Return what the bar shows, by short name."""
        known: dict[str, Any] = dict(trainer.callback_metrics)
        if self._epoch_ended:  # Lightning keeps what earlier epochs have measured
            known = {name: x for name, x in known.items() if x is not self._before.get(name)}
        running = _running_accuracy(pl_module)
        if trainer.training and running is not None:
            known["train/accuracy"] = running
        if trainer.training and not self._epoch_ended:
            for rate in (c.latest for c in _callbacks(trainer) if isinstance(c, FiringRateMonitor)):
                known |= {} if rate is None else {"train/firing_rate": rate}
        if self._epoch_ended and "train/loss" in known:
            # That of the epoch, as all the numbers beside it, not of its last batch.
            known["train/loss_step"] = known["train/loss"]
        return {
            short: f"{float(known[name]):.3f}"
            for name, short in _SHOWN.items()
            if name in known and math.isfinite(float(known[name]))
        }

    def on_train_epoch_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Begin the bar anew, with the number that the epoch's line will have."""
        super().on_train_epoch_start(trainer)
        self._before = dict(trainer.callback_metrics)
        self.train_progress_bar.set_description(_epoch(trainer, "").rstrip())

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Update the bar, and print the epoch's line."""
        self._epoch_ended = True
        super().on_train_epoch_end(trainer, pl_module)
        if trainer.is_global_zero:
            shown = self.get_metrics(trainer, pl_module).items()
            line = _epoch(trainer, "  ".join(f"{name} {value}" for name, value in shown))
            if self.interactive:
                self.print(line)  # above the bar
            else:
                print(line, flush=True)
        self._epoch_ended = False


def _callbacks(trainer: L.Trainer) -> list[L.Callback]:
    return trainer.callbacks  # type: ignore[attr-defined]  # set by a connector


def _epoch(trainer: L.Trainer, numbers: str) -> str:
    """Return an epoch's line."""
    number, most = trainer.current_epoch + 1, trainer.max_epochs
    if most is not None and most >= 0:
        return t("training.epoch", number=number, most=most, metrics=numbers)
    return t("training.epoch_without_end", number=number, metrics=numbers)


def _running_accuracy(module: L.LightningModule) -> float | None:
    if not isinstance(module, SpikingModule):
        return None
    metrics = cast(Mapping[str, Any], module.metrics["train_metrics"])
    if "accuracy" not in metrics:
        return None
    metric = metrics["accuracy"]
    # Not `compute()`: it waits for all processes, and only the first one has a progress bar.
    return float(metric.mean_value / metric.weight) if metric.update_called else None
