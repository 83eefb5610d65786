"""Lets a running training hear that somebody withdrew."""

from __future__ import annotations

from pathlib import Path

import lightning as L
from lightning.pytorch.utilities import rank_zero_info

from spikeformer.data import TableDataModule
from spikeformer.error_handling import ConsentsChangedError
from spikeformer.i18n import t


class ConsentWatch(L.Callback):
    """Asks after every epoch whether the data may still be used, as the data's gate says.

    Args:
        data: The data module, with its `ConsentGate`.
        folder: The run folder, for the record.
    """

    def __init__(self, data: TableDataModule, folder: Path) -> None:
        self.data, self.folder = data, folder

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Ask for the next epoch."""
        self.ask(trainer)

    def ask(self, trainer: L.Trainer) -> None:
        """Stop, or leave out who withdrew; every process of a distributed run does the same.

        Raises:
            ConsentsChangedError: Somebody withdrew, and the gate says to stop.
            DataError: Nothing is left of a split.
        """
        gate = self.data.gate
        if gate is None:
            return
        gone = trainer.strategy.broadcast(gate.withdrawn() if trainer.is_global_zero else {})
        if not gone:
            return
        if gate.on_withdrawal == "stop":
            raise ConsentsChangedError(t("compliance.stopped", count=len(gone), folder=self.folder))
        if trainer.is_global_zero:
            gate.record_dropped(self.folder, gone)
        gate.leave_out(gone)
        self.data.leave_out(gone)
        trainer.reload_dataloaders_every_n_epochs = 1  # type: ignore[attr-defined]
        rank_zero_info(t("compliance.dropped", count=len(gone)))
