"""Keeps the best and the last checkpoint."""

from __future__ import annotations

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint


class BestAndLast(ModelCheckpoint):
    """`ModelCheckpoint` whose `last.ckpt` is that of the last epoch, not of the last good one.

    Lightning writes it only beside a new best checkpoint; a run that is cut short on a plateau
    would go back to where that began, and be tested with those weights.
    """

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the best checkpoint if this is it, and the last one in any case."""
        super().on_train_epoch_end(trainer, pl_module)
        if self._should_save_on_train_epoch_end(trainer):
            self._save_last_anyway(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Do the same where checkpoints are made after validation."""
        super().on_validation_end(trainer, pl_module)
        if not self._should_save_on_train_epoch_end(trainer):
            self._save_last_anyway(trainer)

    def _save_last_anyway(self, trainer: L.Trainer) -> None:
        due = (trainer.current_epoch + 1) % max(1, self._every_n_epochs) == 0
        # Lightning has saved at this step already, or has reasons not to.
        done = self._last_global_step_saved == trainer.global_step
        if due and self.save_last and not done and not self._should_skip_saving_checkpoint(trainer):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
