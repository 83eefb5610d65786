from __future__ import annotations

from pathlib import Path

import pytest

from spikeformer.error_handling import SpikeformerError
from spikeformer.reporting import load_results
from tests.reporting.synthetic import CONFIG, EPOCHS, LAYERS


def test_everything_is_read(run_folder: Path) -> None:
    results = load_results(run_folder)
    assert results.name == "spiking_vit-digits"
    assert results.stages["fit"].seconds == 83.4
    assert results.stages["fit"].result == {"num_parameters": 412_345}
    assert results.history is not None
    assert len(results.history) == EPOCHS
    assert results.test is not None
    assert results.test.confusion_matrix is not None
    assert results.test.confusion_matrix.trace() == 356
    assert list(results.test.firing_rates) == LAYERS
    assert results.sample is not None
    assert list(results.sample.spikes) == LAYERS
    assert results.sample.inputs["input"].shape == (1, 8, 8)
    assert results.sample.target == 0
    assert results.config_text == CONFIG
    assert results.config is not None
    assert results.config["data"]["batch_size"] == 64
    assert results.overrides == ["model=spiking_vit", "neuron.tau_mem=2.0", "seed=1"]
    assert results.environment is not None
    assert results.environment["cores"] == 2


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    results = load_results(tmp_path)
    assert results.name == tmp_path.name
    assert (results.history, results.test, results.sample, results.config) == (None,) * 4
    assert (results.stages, results.overrides) == ({}, [])


def test_a_missing_folder_says_what_to_pass(tmp_path: Path) -> None:
    with pytest.raises(SpikeformerError, match=r"Expected a run folder at .*absent"):
        load_results(tmp_path / "absent")
