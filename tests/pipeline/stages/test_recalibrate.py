"""Batch norms get the average over training batches, and later stages the new weights."""

from __future__ import annotations

import hashlib

import pytest
import torch

from spikeformer.cli import compose
from spikeformer.error_handling import ArgumentError, ConfigurationError
from spikeformer.pipeline import (
    Fit,
    Manifest,
    RecalibrateBatchNorm,
    Run,
    ValidateTrained,
    build,
    load_run,
    run_pipeline,
)
from spikeformer.pipeline.execute import execute
from spikeformer.validation import ComprehensiveValidator, running_norms
from tests.commands import SMALL

QUIET = (
    *SMALL,
    "logger=none",
    "callbacks=none",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=1",
    "trainer.limit_val_batches=0",
)
STAGE = "{_target_: spikeformer.pipeline.RecalibrateBatchNorm, num_batches: 2}"


@pytest.fixture
def run(tmp_path):
    """A run whose training has left batch norms that would silence the network."""
    config = compose(*QUIET)
    run = Run(tmp_path, config, build(config, tmp_path), Manifest.open(tmp_path, "run"), {})
    for norm in running_norms(run.parts.module.net):
        norm.running_var.fill_(1e4)
        norm.num_batches_tracked.fill_(1000)
    run.save_weights(run.last_checkpoint)
    return run


def digest(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_statistics_are_the_plain_average_over_the_batches(run):
    net, data = run.parts.module.net, run.parts.data
    state, before = torch.get_rng_state(), digest(run.last_checkpoint)
    result = RecalibrateBatchNorm(3).run(run)
    assert torch.equal(torch.get_rng_state(), state)
    assert digest(run.last_checkpoint) == before  # so that training can go on from there
    assert result == {"norms": len(running_norms(net)), "batches": 3}
    stage = net.backbone.stem.convs[0]
    batches = [inputs for inputs, _ in data.train_dataloader()][:3]
    with torch.no_grad():
        currents = [stage.conv(inputs) for inputs in batches]
    means = torch.stack([x.mean(dim=(0, 2, 3)) for x in currents])
    torch.testing.assert_close(stage.norm.running_mean, means.mean(dim=0), rtol=1e-4, atol=1e-6)
    variances = torch.stack([x.var(dim=(0, 2, 3), unbiased=False) for x in currents])
    torch.testing.assert_close(stage.norm.running_var, variances.mean(dim=0), rtol=1e-2, atol=0)
    assert all(norm.num_batches_tracked == 3 for norm in running_norms(net))
    assert {norm.momentum for norm in running_norms(net)} == {0.1}
    assert not any(module.training for module in net.modules())
    weights = run.trained().state_dict()["backbone.stem.convs.0.conv.weight"]
    assert torch.equal(weights, stage.conv.weight)


def test_all_batches_of_an_epoch_by_default(run):
    assert RecalibrateBatchNorm().run(run)["batches"] == len(run.parts.data.train_dataloader())


def test_what_the_check_after_training_warns_of_is_mended(run):
    def told():
        found = ValidateTrained().results(run, ComprehensiveValidator())
        return [each.level.value for each in found if "pipeline=recalibrate" in each.remedy]

    assert told() == ["warning"]
    upstream = execute(RecalibrateBatchNorm(), run, "")
    assert told() == []
    assert execute(RecalibrateBatchNorm(), run, "") == upstream  # skipped: its file is there


def test_later_stages_and_load_run_get_the_new_weights(run, tmp_path, capsys):
    folder = tmp_path / "second"
    given = [*QUIET, f"checkpoint={run.last_checkpoint}", f"pipeline.stages=[{STAGE}]"]
    results = run_pipeline(compose(*given), folder, given)
    assert results["recalibrate_batch_norm"]["batches"] == 2
    assert "over 2 training batches" in capsys.readouterr().out
    file = folder / "checkpoints" / "recalibrated.ckpt"
    made, before = torch.load(file, weights_only=True), digest(file)
    loaded = load_run(folder).network.state_dict()
    assert all(torch.equal(x, made["state_dict"][f"net.{key}"]) for key, x in loaded.items())
    # A second time it is skipped, and what comes after it still finds its weights.
    test = "{_target_: spikeformer.pipeline.Test}"
    given[-1] = f"pipeline.stages=[{STAGE}, {test}]"
    results = run_pipeline(compose(*given, "trainer.limit_test_batches=1"), folder, given)
    assert "unchanged" in capsys.readouterr().out
    assert digest(file) == before
    assert results["test"]["firing_rate"] > 0.02
    # Without the stage nothing takes its weights.
    given[-1] = f"pipeline.stages=[{test}]"
    results = run_pipeline(compose(*given, "trainer.limit_test_batches=1"), folder, given)
    assert results["test"]["firing_rate"] < 0.02


@pytest.mark.slow
def test_training_on_takes_the_old_statistics_away(run):
    run.save_weights(run.files.checkpoint("recalibrated"))
    Fit().run(run)
    assert not run.files.checkpoint("recalibrated").exists()


def test_a_network_without_running_statistics_is_refused(run):
    run.parts.module.net = torch.nn.Linear(2, 2)
    with pytest.raises(ConfigurationError, match="no batch norm with running statistics"):
        RecalibrateBatchNorm().check(run)


def test_number_of_batches_is_positive():
    with pytest.raises(ArgumentError, match="num_batches"):
        RecalibrateBatchNorm(0)
