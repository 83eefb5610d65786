"""A checkpoint is whole or not there, whatever the disk says."""

from __future__ import annotations

import errno
import os

import pytest
import torch
from lightning.pytorch.plugins import TorchCheckpointIO

from spikeformer.error_handling import StorageError
from spikeformer.training import (
    SharedBatchNorms,
    WholeCheckpoints,
    make_trainer,
    single_device_trainer,
)
from tests.training.toys import QUIET, lightning_trainer, module, toy_loaders


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"epoch": 1}, path)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"last\.ckpt could not be written: No space left"):
        WholeCheckpoints().save_checkpoint({"epoch": 2}, path)
    assert torch.load(path) == {"epoch": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_lightning_uses_it(tmp_path):
    trainer = lightning_trainer(plugins=[WholeCheckpoints(), SharedBatchNorms()])
    trained = module()
    trainer.fit(trained, *toy_loaders())
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    again = lightning_trainer(max_epochs=2, plugins=[WholeCheckpoints()])
    again.fit(trained, *toy_loaders(), ckpt_path=str(tmp_path / "x.ckpt"))
    assert again.current_epoch == 2


def test_the_schedule_stands_at_the_same_share_with_other_steps():
    """Four steps an epoch before, two now: half of the steps are as far."""
    from spikeformer.training import cosine_with_warmup

    trained = module(scheduler=cosine_with_warmup)
    trainer = lightning_trainer(max_epochs=4)
    trainer.fit(trained, *toy_loaders())
    checkpoint = {"steps_per_epoch": 8, "lr_schedulers": [{"last_epoch": 16}]}
    trained.on_load_checkpoint(checkpoint)
    assert checkpoint["lr_schedulers"][0]["last_epoch"] == 8


def test_make_trainer_adds_our_plugins_unless_there_are_others(tmp_path):
    def kinds(**options):
        return [type(x) for x in make_trainer(dict, **options)["plugins"]]

    assert kinds() == [WholeCheckpoints]
    assert kinds(share_norms=True) == [WholeCheckpoints, SharedBatchNorms]
    mine = TorchCheckpointIO()
    assert kinds(plugins=mine) == kinds(plugins=[mine]) == [TorchCheckpointIO]
    trainer = make_trainer(**QUIET, default_root_dir=tmp_path)
    assert isinstance(trainer.strategy.checkpoint_io, WholeCheckpoints)


def test_single_device_trainer_takes_the_precision_of_the_run(tmp_path):
    settings = {"accelerator": "cpu", "precision": "bf16-mixed", "devices": 8}
    trainer = single_device_trainer(settings, logger=False, default_root_dir=tmp_path)
    assert (trainer.num_devices, trainer.precision) == (1, "bf16-mixed")
    assert trainer.checkpoint_callbacks == []
