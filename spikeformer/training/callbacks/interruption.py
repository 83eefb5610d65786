"""Stops training when a signal asks for it, with everything saved that resuming needs."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor, nn
from torchmetrics import Metric

from spikeformer.error_handling import SIGNALS, Interrupted
from spikeformer.i18n import t


class StopOnSignal(Checkpoint):
    """Saves a checkpoint after the step in which a signal comes, then raises `Interrupted`.

    It may come in any process of a distributed run, and all of them stop. A second signal stops
    at once, without saving. While validation runs the stop waits for its end.
    Lightning calls it after all callbacks that log, train or stop, since it is a `Checkpoint`.

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
        self._in_epoch = self._saved = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen, in place of Lightning's own handlers, and go on inside an epoch if need be."""
        self._trainer, self._received, self._saved = trainer, None, False
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in SIGNALS}
        if trainer.fit_loop.restarted_mid_epoch:
            self._go_on(trainer)
        self._state = {}

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, index: int
    ) -> None:
        """From here on checkpoints are those of an epoch's middle; a last batch ends the epoch."""
        self._in_epoch = not trainer.is_last_batch

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Save and stop if a signal came; a last batch is left to the end of its epoch."""
        stepped = (index + 1) % trainer.accumulate_grad_batches == 0  # else gradients wait
        if self._in_epoch and stepped and self._asked(trainer):
            trainer.save_checkpoint(self.path)
            place = {"epoch": trainer.current_epoch + 1, "batch": index + 1}
            self._stop(t("training.saved_batch", **place))

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """From here on checkpoints are those of a whole epoch."""
        self._in_epoch = False

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save if a signal came during validation; loggers still want the epoch's numbers."""
        self._save_if_asked(trainer)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop if the epoch before was saved; else the first batch has its turn."""
        if self._saved:
            self._stop(t("training.saved_epoch", epoch=trainer.current_epoch))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop after the last epoch, before the next stage."""
        self._save_if_asked(trainer)
        if self._saved:
            self._stop(t("training.saved_all"))

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
            "division": _division(trainer),
            "random": _random_states(trainer),
            "metrics": {name: _values(metric) for name, metric in _metrics(trainer).items()},
            "means": _means(trainer),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep it until training starts."""
        self._state = state_dict

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._received is not None:
            raise Interrupted(number, t("training.second_signal"))
        self._received = number

    def _asked(self, trainer: L.Trainer) -> bool:
        """Whether a signal came to any process."""
        if trainer.world_size > 1:
            mine = torch.tensor(self._received or 0, device=trainer.strategy.root_device)
            self._received = (
                int(cast(Tensor, trainer.strategy.reduce(mine, reduce_op="max"))) or None
            )
        return self._received is not None

    def _save_if_asked(self, trainer: L.Trainer) -> None:
        if not self._saved and self._asked(trainer):
            trainer.save_checkpoint(self.path)
            self._saved = True

    def _stop(self, saved: str) -> None:
        assert self._received is not None
        raise Interrupted(self._received, saved)

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _go_on(self, trainer: L.Trainer) -> None:
        progress = trainer.fit_loop.epoch_loop.batch_progress
        if self._state.get("division") != _division(trainer):
            progress.reset_on_run()
            return
        loader: Any = trainer.train_dataloader
        sampler: Any = getattr(loader, "sampler", None)
        if hasattr(sampler, "skip"):
            sampler.set_epoch(trainer.current_epoch)
            sampler.skip(progress.current.ready * loader.batch_size)
            iter(cast(Any, trainer.fit_loop._data_fetcher))
        if trainer.world_size == 1:
            _set_random_states(trainer, self._state["random"])
            for name, metric in _metrics(trainer).items():
                _set_values(metric, self._state["metrics"].get(name, {}))
            _set_means(trainer, self._state["means"])


def _division(trainer: L.Trainer) -> list[int]:
    """Into how many processes and parts a batch is divided: what a count of batches means."""
    return [trainer.world_size, trainer.accumulate_grad_batches]


def _random_states(trainer: L.Trainer) -> list[Tensor]:
    device = trainer.strategy.root_device
    on_device = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return [torch.get_rng_state(), *on_device]


def _set_random_states(trainer: L.Trainer, states: list[Tensor]) -> None:
    device = trainer.strategy.root_device
    torch.set_rng_state(states[0].cpu())
    if device.type == "cuda" and len(states) > 1:
        torch.cuda.set_rng_state(states[1].cpu(), device)


def _metrics(trainer: L.Trainer) -> dict[str, Metric]:
    modules: dict[str, nn.Module] = dict(trainer.lightning_module.named_modules())
    return {name: module for name, module in modules.items() if isinstance(module, Metric)}


def _values(metric: Metric) -> dict[str, Any]:
    values = {name: getattr(metric, name) for name in metric._defaults}
    return {**values, "_update_count": metric._update_count}


def _set_values(metric: Metric, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(metric, name, value.to(metric.device) if isinstance(value, Tensor) else value)


def _means(trainer: L.Trainer) -> list[dict[str, Any]]:
    """Return what was logged in the epoch so far as plain numbers, to be averaged at its end."""
    return [
        {
            "fx": logged.meta.fx,
            "name": logged.meta.name,
            "prog_bar": logged.meta.prog_bar,
            "logger": logged.meta.logger,
            "on_step": logged.meta.on_step,
            "reduce_fx": logged.meta.reduce_fx.__name__,
            "sync_dist": logged.meta.sync.should,
            "values": _values(logged),
        }
        for logged in trainer.fit_loop.epoch_loop._results.result_metrics
        if logged.is_tensor and logged.meta.on_epoch and not logged.has_reset
    ]


def _set_means(trainer: L.Trainer, means: list[dict[str, Any]]) -> None:
    results = trainer.fit_loop.epoch_loop._results
    for mean in means:
        values, reduction = mean["values"], getattr(torch, mean["reduce_fx"])
        options = {key: mean[key] for key in mean.keys() - {"values", "reduce_fx"}}
        zero = torch.zeros((), device=trainer.strategy.root_device)
        results.log(
            value=zero,
            reduce_fx=reduction,
            sync_dist_fn=trainer.strategy.reduce,
            batch_size=1,
            **options,
        )
        _set_values(results[f"{mean['fx']}.{mean['name']}"], values)
    # Else Lightning, which takes the next batch for the first one, would begin the means anew.
    trainer._logger_connector._first_loop_iter = True
