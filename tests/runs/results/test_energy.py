"""What a sample takes, in its file and back."""

from __future__ import annotations

import json

import pytest

from spikeformer.runs import EnergyResults, ResultsError, RunFolder
from tests.reporting.synthetic import write_energy


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "results").mkdir()
    write_energy(tmp_path)
    return RunFolder(tmp_path)


def test_energy_results_come_back(folder):
    saved = EnergyResults.load(folder)
    assert saved is not None
    assert list(saved.modelled.layers) == [row["layer"] for row in saved.table]
    assert saved.numbers()["energy_per_sample_uj"] == saved.modelled.energy_uj.value > 0
    assert [row.network for row in saved.comparison] == ["ANN", "QNN", "SNN", "SNN"]
    saved.save(folder)
    assert EnergyResults.load(folder) == saved


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: content["metrics"].pop("kind"), "kind.*metrics"),
        (lambda content: content["modelled"]["energy_uj"].update(low=9e9), "ascending.*energy_uj"),
        (lambda content: content.update(comparison=[{}]), "name.*comparison"),
    ],
)
def test_energy_results_that_are_broken_are_named(folder, change, reason):
    path = folder.path / EnergyResults.file
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ResultsError, match=rf"energy\.json.*{reason}"):
        EnergyResults.load(folder)


def test_energy_results_without_spiking_neurons_come_back(folder):
    path = folder.path / EnergyResults.file
    content = json.loads(path.read_text())
    content["metrics"]["firing_rate"] = content["comparison"][2]["firing_rate"] = None
    path.write_text(json.dumps(content))
    found = EnergyResults.load(folder)
    assert found is not None
    assert found.metrics["firing_rate"] is found.comparison[2].firing_rate is None
