"""`trainer=fsdp` and `trainer=ddp` on CPU processes, of which a resumed run may have others."""

from __future__ import annotations

import json

import pytest
import torch

from spikeformer.pipeline import load_run
from tests.forking import forked
from tests.integration import processes
from tests.integration.test_main_job import curves

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Train everything at once; return the folder of the runs."""
    folder = tmp_path_factory.mktemp("processes")
    forked(processes.train_all, folder)
    return folder


def seen(folder, rank, epoch=0):
    return json.loads((folder / f"epoch{epoch}-rank{rank}.json").read_text())


def test_processes_share_the_weights_out_and_the_metrics_in(runs):
    ranks = [seen(runs / "whole", rank) for rank in range(2)]
    losses = [rank["metrics"].pop("train/loss_step") for rank in ranks]
    assert losses[0] != losses[1]  # each of its own samples
    assert ranks[0]["metrics"] == ranks[1]["metrics"]
    checkpoint = torch.load(runs / "whole" / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["sharded"]
    parameters = dict(load_run(runs / "whole").network.named_parameters())
    assert sum(rank["weights"] for rank in ranks) == sum(p.numel() for p in parameters.values())
    assert min(rank["weights"] for rank in ranks) > 0
    for name, weights in parameters.items():
        assert torch.equal(checkpoint["state_dict"][f"net.{name}"], weights)


def test_it_learns_what_one_process_learns(runs):
    for alone, sharded in zip(curves(runs / "alone"), curves(runs / "whole"), strict=True):
        for name in ("train/loss", "val/loss"):
            # Sums of another order flip a spike now and then.
            assert float(sharded[name]) == pytest.approx(float(alone[name]), rel=1e-3)


def test_a_resumed_run_repeats_the_whole_one(runs):
    assert curves(runs / "resumed") == curves(runs / "whole")
    results = [(runs / name / "results" / "test.json").read_text() for name in ("resumed", "whole")]
    assert results[0] == results[1]


@pytest.mark.parametrize("name", ["fewer", "unsharded"])
def test_another_number_of_processes_goes_on(runs, name):
    first, second = curves(runs / name)
    assert first == curves(runs / "whole")[0]
    assert float(second["epoch"]) == 1
    assert float(second["train/loss"]) < float(first["train/loss"])


def test_the_schedule_stands_at_the_same_share_of_the_training(runs):
    """Two processes, one, two again: one curve, whose learning rate ends at zero."""
    rows = curves(runs / "changing")
    assert [float(row["epoch"]) for row in rows] == [0, 1, 2]
    assert float(rows[-1]["lr"]) == pytest.approx(0, abs=1e-6)
