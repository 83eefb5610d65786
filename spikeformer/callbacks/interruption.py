"""Stops training when a signal asks for it, with everything saved that resuming needs."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any, cast

import lightning as L
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from spikeformer.error_handling import Interrupted
from spikeformer.i18n import t

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
)
"""Ctrl-C, the end of a job, and what Slurm sends before it takes a machine away."""


class StopOnSignal(L.Callback):
    """Saves a checkpoint after the batch in which a signal comes, then raises `Interrupted`.

    It may come in any process of a distributed run, and all of them stop. A second signal stops
    at once, without saving. While validation runs the stop waits for its end.

    A checkpoint in the middle of an epoch holds what is needed to go on with the next batch: which
    samples were seen, the random generators and the epoch's metrics so far. Resumed on one device,
    a run then repeats the uninterrupted one. On several, the resumed epoch's training metrics are
    those of its remaining batches; with another number of processes the epoch's data begin anew.

    Args:
        path: Checkpoint to write.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._received: int | None = None
        self._previous: dict[int, Any] = {}
        self._trainer: L.Trainer | None = None
        self._state: dict[str, Any] = {}
        self._in_epoch = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen, in place of Lightning's own handlers, and go on inside an epoch if need be."""
        self._trainer, self._received = trainer, None
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in SIGNALS}
        if trainer.fit_loop.restarted_mid_epoch:
            self._go_on(trainer)
        self._state = {}

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop here if the signal came during validation: the epoch is saved."""
        self._stop_if_asked(trainer, t("callbacks.saved_epoch", epoch=trainer.current_epoch))

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Save and stop if a signal came; a last batch is left to the end of its epoch."""
        self._in_epoch = not trainer.is_last_batch
        if self._in_epoch and self._asked(trainer):
            trainer.save_checkpoint(self.path)
            place = {"epoch": trainer.current_epoch + 1, "batch": index + 1}
            self._stop(t("callbacks.saved_batch", **place))

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """From here on checkpoints are those of a whole epoch."""
        self._in_epoch = False

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop after the last epoch, before the next stage."""
        self._stop_if_asked(trainer, t("callbacks.saved_all"))

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Listen no longer."""
        self._restore()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Listen no longer: Lightning calls no `teardown` after an error."""
        self._restore()

    def state_dict(self) -> dict[str, Any]:
        """Return what goes on in the middle of an epoch; nothing between two epochs."""
        trainer = self._trainer
        if trainer is None or not self._in_epoch:
            return {}
        return {
            "world_size": trainer.world_size,
            "random": torch.get_rng_state(),
            "metrics": {name: _values(metric) for name, metric in _metrics(trainer).items()},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep it until training starts."""
        self._state = state_dict

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._received is not None:
            raise Interrupted(number, t("callbacks.second_signal"))
        self._received = number

    def _asked(self, trainer: L.Trainer) -> bool:
        """Whether a signal came to any process."""
        if trainer.world_size > 1:
            mine = torch.tensor(self._received or 0, device=trainer.strategy.root_device)
            self._received = (
                int(cast(Tensor, trainer.strategy.reduce(mine, reduce_op="max"))) or None
            )
        return self._received is not None

    def _stop_if_asked(self, trainer: L.Trainer, saved: str) -> None:
        if self._asked(trainer):
            if not self.path.is_file():  # nobody else keeps checkpoints
                trainer.save_checkpoint(self.path)
            self._stop(saved)

    def _stop(self, saved: str) -> None:
        assert self._received is not None
        raise Interrupted(self._received, saved)

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _go_on(self, trainer: L.Trainer) -> None:
        progress = trainer.fit_loop.epoch_loop.batch_progress
        if self._state.get("world_size") != trainer.world_size:
            progress.reset_on_run()
            return
        loader: Any = trainer.train_dataloader
        sampler: Any = getattr(loader, "sampler", None)
        if hasattr(sampler, "skip"):
            sampler.set_epoch(trainer.current_epoch)
            sampler.skip(progress.current.ready * loader.batch_size)
            iter(cast(Any, trainer.fit_loop._data_fetcher))
        if trainer.world_size == 1:
            torch.set_rng_state(self._state["random"])
            for name, metric in _metrics(trainer).items():
                _set_values(metric, self._state["metrics"].get(name, {}))


def _metrics(trainer: L.Trainer) -> dict[str, Metric]:
    modules: dict[str, nn.Module] = dict(trainer.lightning_module.named_modules())
    return {name: module for name, module in modules.items() if isinstance(module, Metric)}


def _values(metric: Metric) -> dict[str, Any]:
    values = {name: getattr(metric, name) for name in metric._defaults}
    return {**values, "_update_count": metric._update_count}


def _set_values(metric: Metric, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(metric, name, value.to(metric.device) if isinstance(value, Tensor) else value)
