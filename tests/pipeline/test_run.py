"""Stages get the trained network from the run, which reads each file once."""

from __future__ import annotations

import os

import pytest
import torch

from spikeformer.cli import compose as composed
from spikeformer.data.events.named_splits import NamedSplit
from spikeformer.error_handling import ConfigurationError
from spikeformer.files import file_hash
from spikeformer.pipeline import Manifest, Run, build
from spikeformer.pipeline.stages.hardware import lowered_network, make_deployer
from spikeformer.runs import DataResults
from tests.commands import SMALL

QUIET = ("logger=none", "trainer.accelerator=cpu", "hardware=simulation", *SMALL)


@pytest.fixture
def run(tmp_path):
    config = composed(*QUIET)
    return Run(tmp_path, config, build(config, tmp_path), Manifest.open(tmp_path, "run"), {})


def save(run, file, value):
    """Write weights that all have one value; return the file."""
    weights = {
        key: torch.full_like(x, value) for key, x in run.parts.module.net.state_dict().items()
    }
    file.parent.mkdir(exist_ok=True)
    torch.save({"state_dict": {f"net.{key}": x for key, x in weights.items()}}, file)
    return file


def values(net):
    return {float(x.float().mean()) for x in net.state_dict().values()}


def test_trained_reads_each_file_once(run):
    last, best = run.files.checkpoint("last"), run.files.checkpoint("best")
    save(run, last, 1.0)
    save(run, best, 2.0)
    assert values(run.trained()) == {1.0}
    assert values(run.trained("best")) == {2.0}
    assert not run.trained().training
    stamp = last.stat().st_mtime_ns
    last.write_bytes(b"not read again")
    os.utime(last, ns=(stamp, stamp))
    assert values(run.trained()) == {1.0}


def test_a_run_records_the_file_that_divides_its_data(run):
    run.write_description([])
    assert DataResults.load(run.files).split is None
    run.parts.data.named_split = NamedSplit.read("shd")
    run.write_description([])
    path = run.parts.data.named_split.path
    assert DataResults.load(run.files).split == f"shd sha256:{file_hash(path)}"


def test_trained_sees_a_file_that_was_written_anew(run):
    file = save(run, run.files.checkpoint("last"), 1.0)
    run.trained()
    save(run, file, 3.0)
    os.utime(file, ns=(1, 1))
    assert values(run.trained()) == {3.0}


def test_trained_mends_a_network_that_was_changed_or_rounded(run):
    save(run, run.files.checkpoint("last"), 0.1)
    expected = torch.tensor(0.1)
    net = run.trained()
    net.bfloat16().float()
    assert all((p != expected).any() for p in net.parameters())
    assert all((p == expected).all() for p in run.trained().parameters())
    with torch.no_grad():
        next(net.parameters()).add_(1)
    assert all((p == expected).all() for p in run.trained().parameters())


def test_a_network_is_lowered_once_for_all_stages(run):
    state = {f"net.{key}": x for key, x in run.parts.module.net.state_dict().items()}
    run.files.checkpoint("last").parent.mkdir()
    torch.save({"state_dict": state}, run.files.checkpoint("last"))
    deployer = make_deployer(run.config)
    shape = next(iter(run.parts.data.train_dataloader()))[0].shape[1:]
    first = lowered_network(deployer, run.trained(), shape)
    assert lowered_network(deployer, run.trained(), shape) is first
    with torch.no_grad():
        next(run.parts.module.net.parameters()).add_(1)
    assert lowered_network(deployer, run.trained(), shape) is not first


def test_trained_takes_the_given_checkpoint_where_nothing_was_trained(run, tmp_path):
    with pytest.raises(ConfigurationError, match=r"last\.ckpt"):
        run.trained()
    run.config.checkpoint = str(save(run, tmp_path / "given.ckpt", 4.0))
    assert values(run.trained()) == {4.0}
    with pytest.raises(ConfigurationError, match=r"finetuned\.ckpt"):  # nothing stands for these
        run.trained("finetuned")
