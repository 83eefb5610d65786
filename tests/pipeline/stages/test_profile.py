"""The profile stage in a run."""

from __future__ import annotations

import json

import pytest

from spikeformer.cli import compose
from spikeformer.error_handling import BackendUnavailableError, ConfigurationError
from spikeformer.pipeline import run_pipeline
from tests.commands import TINY

pytestmark = pytest.mark.slow
SHORT = (
    *TINY,
    "trainer.accelerator=cpu",
    "trainer.max_epochs=1",
    "trainer.enable_progress_bar=false",
    "logger=none",
    "callbacks=checkpoint",
)


def run(folder, *overrides):
    config = compose(*SHORT, f"paths.run_dir={folder}", *overrides)
    return run_pipeline(config, folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, run(folder, "profiler=loihi1")


def test_a_run_ends_with_an_energy(finished):
    folder, results = finished
    assert list(results) == [
        "validate",
        "fit",
        "validate_trained",
        "test",
        "profile",
        "report",
    ]
    content = json.loads((folder / "results" / "energy.json").read_text())
    assert content["metrics"] == results["profile"]
    assert content["metrics"]["samples"] == 128  # a batch
    assert content["metrics"]["kind"] == "estimate"
    assert content["uncounted"] == {}
    assert [row["network"] for row in content["comparison"]] == ["ANN", "QNN", "SNN", "SNN"]
    assert 'id="energy"' in (folder / "report.html").read_text()
    assert (folder / "figures" / "energy_comparison.png").is_file()


@pytest.mark.usefixtures("no_figure_files")
def test_a_checkpoint_alone_can_be_profiled(finished, tmp_path):
    folder, results = finished
    checkpoint = f"checkpoint={folder / 'checkpoints' / 'last.ckpt'}"
    again = run(tmp_path, "profiler=loihi1", "pipeline=profile_only", checkpoint)
    assert list(again) == ["profile", "report"]
    assert again["profile"]["samples"] == 360
    energy, before = again["profile"]["energy_per_sample_uj"], results["profile"]
    assert energy == pytest.approx(before["energy_per_sample_uj"], rel=0.1)


def test_without_a_checkpoint_it_says_so(tmp_path):
    with pytest.raises(ConfigurationError, match=r"holds no checkpoints/last\.ckpt"):
        run(tmp_path, "profiler=simulation", "pipeline=profile_only")


def test_a_missing_counter_shows_before_anything_is_trained(tmp_path, monkeypatch):
    from pyJoules.device import rapl_device

    monkeypatch.setattr(rapl_device, "RAPL_API_DIR", str(tmp_path / "nothing"))
    with pytest.raises(BackendUnavailableError, match="no energy counter"):
        run(tmp_path, "profiler=pyjoules")
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.usefixtures("no_figure_files")
def test_no_profiler_no_energy(tmp_path):
    results = run(tmp_path, "profiler=none", "debug=fast")
    assert "profile" not in results
    assert not (tmp_path / "results" / "energy.json").exists()
