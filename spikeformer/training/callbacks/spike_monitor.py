"""Warns when a layer has stopped firing or fires all the time."""

from __future__ import annotations

import logging
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_only
from torch import nn

from spikeformer.error_handling import check_interval, check_positive_int
from spikeformer.i18n import t
from spikeformer.instrument import ActivityProbe

log = logging.getLogger(__name__)


class SpikeMonitor(L.Callback):
    """Looks at every layer once in a while and warns about dead and saturated ones by name.

    A dead layer passes no information and, far below threshold, hardly any gradient; a saturated
    one says the same whatever comes in. Each is warned about once, until it has recovered.

    Args:
        every_n_epochs: Epochs between two looks; each is at the first training batch.
        dead_below: A layer is dead when its firing rate is at most this.
        saturated_above: A layer is saturated when its firing rate is at least this.
    """

    def __init__(
        self, every_n_epochs: int = 1, dead_below: float = 0.0, saturated_above: float = 0.95
    ) -> None:
        self.every_n_epochs = check_positive_int("every_n_epochs", every_n_epochs)
        self.dead_below = check_interval("dead_below", dead_below, 0.0, 1.0)
        self.saturated_above = check_interval("saturated_above", saturated_above, 0.0, 1.0)
        self._probe: ActivityProbe | None = None
        self._warned: set[tuple[str, str]] = set()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start watching at the first batch of an epoch that is due."""
        if batch_idx == 0 and trainer.current_epoch % self.every_n_epochs == 0:
            net = pl_module.net  # layers have the names that reports give them
            assert isinstance(net, nn.Module)
            self._probe = ActivityProbe(net).__enter__()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any
    ) -> None:
        """Judge what was seen."""
        if self._probe is not None:
            self._probe.__exit__(None, None, None)
            self._judge(self._probe, trainer.current_epoch)
            self._probe = None

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Leave no hooks behind."""
        if self._probe is not None:
            self._probe.__exit__(None, None, None)
            self._probe = None

    @rank_zero_only
    def _judge(self, probe: ActivityProbe, epoch: int) -> None:
        for name, rate in probe.summary()["firing_rates"].items():
            self._warn(name, "dead", rate <= self.dead_below, epoch, rate)
            self._warn(name, "saturated", rate >= self.saturated_above, epoch, rate)

    def _warn(self, name: str, condition: str, holds: bool, epoch: int, rate: float) -> None:
        key = (name, condition)
        if not holds:
            self._warned.discard(key)
        elif key not in self._warned:
            self._warned.add(key)
            dead = condition == "dead"
            message = t(
                "training.layer_dead" if dead else "training.layer_saturated",
                layer=name,
                epoch=epoch,
                rate=rate,
            )
            log.warning(message)
