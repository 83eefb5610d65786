"""`last.ckpt` is that of the last epoch, whether it was a good one or not."""

from __future__ import annotations

import torch
from torch.utils.data import DataLoader

from spikeformer.training.callbacks import BestAndLast
from tests.training.toys import lightning_trainer, module, toy_loaders


def test_best_and_last_last_is_the_last_epoch_on_a_plateau(tmp_path):
    # A learning rate of nearly 0: the first epoch stays the best one.
    callback = BestAndLast(
        tmp_path, filename="best", monitor="val/accuracy", mode="max", save_last=True
    )
    loaders: tuple[DataLoader, ...] = toy_loaders()
    trainer = lightning_trainer(max_epochs=3, callbacks=[callback], enable_checkpointing=True)
    trainer.fit(module(lr=1e-12), *loaders)
    epochs = {
        name: torch.load(tmp_path / f"{name}.ckpt", weights_only=True)["epoch"]
        for name in ("best", "last")
    }
    assert epochs == {"best": 0, "last": 2}
