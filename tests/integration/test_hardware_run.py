"""A network trained, lowered, deployed and reported by one command."""

from __future__ import annotations

from itertools import groupby

import pytest

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import HardwareModel, SpikeGraph
from spikeformer.hardware.targets.toolchain import find_toolchain
from spikeformer.runs import HardwareResults, RunFolder, VerificationResults
from tests.commands import SMALL, only_run, train
from tests.wandb_records import read_offline_run

pytestmark = pytest.mark.slow
SHORT = (*SMALL, "trainer.accelerator=cpu", "trainer.max_epochs=2")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train a small network and deploy it to the simulation; return its folder and output."""
    outputs = tmp_path_factory.mktemp("outputs")
    process = train(*SHORT, "hardware=simulation", f"paths.output_dir={outputs}")
    return only_run(outputs), process.stdout


def test_stages_follow_the_test(trained):
    _, printed = trained
    lines = [line for line in printed.splitlines() if not line.startswith(("epoch", "platform"))]
    # A stage may have several lines.
    assert [name for name, _ in groupby(line.split()[0] for line in lines)] == [
        "data",
        "validate",
        "fit",
        "validate_trained",
        "test",
        "verify",
        "compile",
        "deploy",
        "report",
        "next",
    ]


def test_the_run_folder_holds_the_chips_files(trained):
    folder, _ = trained
    equivalence = VerificationResults.load(RunFolder(folder))
    assert equivalence is not None
    assert equivalence.graph.mismatches == 0
    assert equivalence.graph.samples == 128
    assert isinstance(HardwareModel.load(folder / "hardware").graph, SpikeGraph)
    results = HardwareResults.load(RunFolder(folder))
    assert results is not None
    assert results.comparisons[0].mismatches == 0
    assert results.accuracy["chip"] == results.accuracy["pytorch"]
    assert 'id="hardware"' in (folder / "report.html").read_text()


def test_numbers_go_to_weights_and_biases(trained):
    folder, _ = trained
    logged = {key for row in read_offline_run(folder / "wandb")["history"] for key in row}
    assert {"hardware/mismatches", "hardware/accuracy", "hardware/latency_steps"} <= logged


def test_resuming_does_nothing_again(trained):
    folder, _ = trained
    printed = train(f"pipeline.resume={folder}").stdout
    assert printed.count("unchanged") == 8


@pytest.mark.parametrize(("target", "qat_epochs"), [("loihi2", 1), ("spinnaker", 0)])
def test_checkpoint_goes_to_a_chip_without_training(trained, target, qat_epochs, tmp_path):
    try:
        find_toolchain(target)
    except HardwareCompatibilityError as error:
        pytest.skip(str(error))
    folder, _ = trained
    printed = train(
        *SMALL,
        "pipeline=deploy",
        f"checkpoint={folder / 'checkpoints' / 'last.ckpt'}",
        f"hardware={target}",
        "hardware.samples=24",
        f"hardware.qat_epochs={qat_epochs}",
        f"paths.output_dir={tmp_path}",
    ).stdout
    assert "fit " not in printed
    assert ("fine-tuning" in printed) == bool(qat_epochs)
    results = HardwareResults.load(RunFolder(only_run(tmp_path)))
    assert results is not None
    # Real numbers give PyTorch's spikes; the integers of Loihi 2 give those of the model in NumPy.
    assert results.comparisons[0].mismatches == 0
    assert target != "loihi2" or results.comparisons[1].mismatches == 0
    assert results.comparisons[0].layers[-1].expected > 0
    assert results.placement.num_cores > 0
