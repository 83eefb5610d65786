"""The networks that come with the package are there, small, and say what they are."""

from __future__ import annotations

import json

import pytest

from spikeformer.config import BUNDLED, bundled, pretrained_names, run_of_network
from spikeformer.error_handling import ConfigurationError


def test_bundled_networks_are_complete_and_small():
    assert "digits" in pretrained_names()
    for name in pretrained_names():
        folder = bundled(name)
        assert folder == BUNDLED / name
        assert (folder / "model.safetensors").stat().st_size < 3_000_000
        run = run_of_network(folder)
        assert run.name == name
        assert {"model", "data", "neuron"} <= run.choices.keys()
        accuracy = run.results["accuracy"]
        assert f"**{accuracy:.2%}**" in (folder / "README.md").read_text()


def test_a_name_that_is_none():
    assert bundled("no-such-network") is None
    assert bundled("../pretrained/digits") is None


def test_a_folder_without_a_run(tmp_path):
    assert run_of_network(tmp_path) is None
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert run_of_network(tmp_path) is None
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"config\.json"):
        run_of_network(tmp_path)
