"""The callbacks that a configuration names are fitted to their run."""

from __future__ import annotations

import pytest
from lightning.pytorch.callbacks import LearningRateMonitor

from spikeformer.cli import compose as composed
from spikeformer.error_handling import ConfigurationError
from spikeformer.pipeline import build
from spikeformer.pipeline.callbacks import build_callbacks, build_many
from tests.commands import SMALL

QUIET = ("logger=none", "trainer.accelerator=cpu", *SMALL)


def test_keep_checkpoints_in_the_run_folder_by_the_tasks_metric(tmp_path):
    trainer = build(composed(*QUIET), tmp_path).trainer
    callback = trainer.checkpoint_callback
    assert callback.dirpath == str(tmp_path / "checkpoints")
    assert (callback.monitor, callback.mode) == ("val/accuracy", "max")
    trainer = build(composed(*QUIET, "data.val_fraction=0"), tmp_path).trainer
    assert trainer.checkpoint_callback.monitor is None
    trainer = build(composed(*QUIET, "trainer.limit_val_batches=0"), tmp_path).trainer
    assert trainer.checkpoint_callback.monitor is None


@pytest.mark.parametrize("key", ["data.val_fraction=0", "trainer.limit_val_batches=0"])
@pytest.mark.parametrize("option", ["early_stopping", "energy_early_stopping"])
def test_what_watches_the_validation_needs_one(tmp_path, key, option):
    config = composed(*QUIET, key, f"callbacks=[default,{option}]")
    with pytest.raises(ConfigurationError, match=r"watches val/loss, but nothing is validated"):
        build(config, tmp_path)


def test_build_callbacks_monitors_rates_only_for_a_logger(tmp_path):
    rate = "+callbacks.rate._target_=lightning.pytorch.callbacks.LearningRateMonitor"
    config = composed(*QUIET, rate)
    parts = build(composed(*QUIET), tmp_path)
    for logged in (True, False):
        callbacks = build_callbacks(config, tmp_path, parts.module, parts.data, logged=logged)
        assert any(isinstance(c, LearningRateMonitor) for c in callbacks) is logged


def test_build_many_names_a_member_without_a_target():
    config = composed(*QUIET, "+callbacks.mine.patience=3")
    with pytest.raises(ConfigurationError, match="mine"):
        build_many(config, "callbacks", object)
