from __future__ import annotations

import lightning as L
import pytest
import torch

from spikeformer.cli import compose
from spikeformer.files import write_text
from spikeformer.pipeline import Fit, run_pipeline
from tests.commands import SMALL

SHORT = (
    *SMALL,
    "pipeline.stages=[{_target_: spikeformer.pipeline.Fit}]",
    "callbacks=checkpoint",
    "logger=none",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=1",
)


@pytest.mark.slow
def test_fit_keeps_the_checkpoints_of_another_recipe(tmp_path, capsys):
    run_pipeline(compose(*SHORT, "optimizer.lr=1e-3"), tmp_path)
    before = (tmp_path / "checkpoints" / "last.ckpt").read_bytes()
    write_text(tmp_path / "checkpoints" / "mine.ckpt", "a person's")
    results = run_pipeline(compose(*SHORT, "optimizer.lr=2e-3"), tmp_path)
    assert results["fit"]["epochs"] == 1
    kept = tmp_path / "checkpoints.old-1"
    assert (kept / "last.ckpt").read_bytes() == before
    assert (kept / "mine.ckpt").read_text() == "a person's"
    assert str(kept) in capsys.readouterr().out
    new = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert new["optimizer_states"][0]["param_groups"][0]["initial_lr"] == 2e-3


def test_a_training_that_fails_leaves_its_group_of_processes(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        torch.distributed.init_process_group(
            "gloo", init_method=(tmp_path / "group").as_uri(), rank=0, world_size=1
        )
        raise ValueError("no more")

    monkeypatch.setattr(L.Trainer, "fit", fail)
    with pytest.raises(ValueError, match="no more"):
        run_pipeline(compose(*SHORT), tmp_path / "run")
    assert not torch.distributed.is_initialized()


def test_a_training_of_no_epochs_leaves_its_network(tmp_path):
    results = run_pipeline(compose(*SHORT, "trainer.max_epochs=0"), tmp_path)
    assert results["fit"]["epochs"] == 0
    assert (tmp_path / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.parametrize(("epochs", "said"), [(1, "1 epoch in"), (2, "2 epochs in")])
def test_summary_counts_epochs(epochs, said):
    result = {"epochs": epochs, "seconds": 1.0, "num_parameters": 9}
    assert Fit().summary(result).startswith(said)
