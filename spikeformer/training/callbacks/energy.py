"""Energy while a network trains: logged, and as a reason to stop."""

from __future__ import annotations

from typing import Any, cast

import lightning as L
from lightning.pytorch.utilities import rank_zero_info
from torch import nn

from spikeformer.error_handling import (
    ConfigurationError,
    check_choice,
    check_interval,
    check_positive_int,
)
from spikeformer.i18n import t
from spikeformer.profiling import TECHNOLOGIES, OperationCounter, estimate

ENERGY = "val/energy_uj"
"""Name under which the energy is logged."""


class EnergyMonitor(L.Callback):
    """Logs `val/energy_uj`, the modelled energy of a sample, counted on the first validation batch.

    A compiled network runs uncompiled for that batch.

    Args:
        backend: What to model, a key of `spikeformer.profiling.TECHNOLOGIES`.
        every_n_epochs: Validations between two counts; in between the last value is logged again.
    """

    def __init__(self, backend: str = "simulation", every_n_epochs: int = 1) -> None:
        self.backend = check_choice("backend", backend, TECHNOLOGIES)
        self.every_n_epochs = check_positive_int("every_n_epochs", every_n_epochs)
        self._counter: OperationCounter | None = None
        self._last: float | None = None

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Start counting, on the first batch of a validation that is due."""
        due = self._last is None or trainer.current_epoch % self.every_n_epochs == 0
        if due and batch_idx == dataloader_idx == 0 and not trainer.sanity_checking:
            self._counter = OperationCounter(cast(nn.Module, pl_module.net)).__enter__()

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any
    ) -> None:
        """Price what was counted."""
        if self._counter is not None:
            works = self._counter.works
            self._stop()
            self._last = estimate(works[0].counts(), self.backend).energy_uj.value

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the energy, once for each validation."""
        if self._last is not None and not trainer.sanity_checking:
            pl_module.log(ENERGY, self._last, on_step=False, on_epoch=True, sync_dist=True)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Leave no hooks behind."""
        self._stop()

    def state_dict(self) -> dict[str, Any]:
        """Return the energy to log until the next count."""
        return {"last": self._last}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up: a resumed run counts when the uninterrupted one would."""
        self._last = state_dict["last"]

    def _stop(self) -> None:
        if self._counter is not None:
            counter, self._counter = self._counter, None
            counter.__exit__(None, None, None)


class EnergyEarlyStopping(L.Callback):
    """Stops training when no epoch finds a better trade of quality for energy any more.

    An epoch counts as progress unless an earlier one was as good at no more energy: it must improve
    the monitored metric, or save energy at its quality. After `patience` validations without
    progress training ends. Needs `EnergyMonitor`.

    Args:
        monitor: Logged metric of quality.
        mode: "min" or "max": whether less or more of it is better.
        patience: Validations without progress to wait for.
        min_delta: Improvement of the metric that counts.
        min_saving: Share of energy whose saving counts, in [0, 1].
    """

    def __init__(
        self,
        monitor: str = "val/loss",
        mode: str = "min",
        patience: int = 5,
        min_delta: float = 0.0,
        min_saving: float = 0.01,
    ) -> None:
        self.monitor = monitor
        self.mode = check_choice("mode", mode, ("min", "max"))
        self.patience = check_positive_int("patience", patience)
        self.min_delta = check_interval("min_delta", min_delta, 0.0, float("inf"))
        self.min_saving = check_interval("min_saving", min_saving, 0.0, 1.0)
        self.front: list[tuple[float, float]] = []
        self.waited = 0

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Judge the epoch."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        metrics = trainer.callback_metrics
        for name in (self.monitor, ENERGY):
            if name not in metrics:
                logged = ", ".join(sorted(metrics))
                raise ConfigurationError(
                    t("training.energy_needs_metric", name=name, logged=logged)
                )
        sign = 1.0 if self.mode == "min" else -1.0
        badness, energy = sign * float(metrics[self.monitor]), float(metrics[ENERGY])
        if self._is_progress(badness, energy):
            self.front = [
                point for point in self.front if point[0] < badness or point[1] < energy
            ] + [(badness, energy)]
            self.waited = 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            trainer.should_stop = True
            rank_zero_info(t("training.energy_stops", patience=self.patience, monitor=self.monitor))

    def _is_progress(self, badness: float, energy: float) -> bool:
        return all(
            badness < known - self.min_delta or energy < used * (1 - self.min_saving)
            for known, used in self.front
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs to go on as if it had not been cut."""
        return {"front": self.front, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where a checkpoint left off."""
        self.front = [(float(bad), float(energy)) for bad, energy in state_dict["front"]]
        self.waited = state_dict["waited"]
