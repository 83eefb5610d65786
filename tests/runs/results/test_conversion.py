"""What a conversion found, in its file and back."""

from __future__ import annotations

import math

import pytest

from spikeformer.conversion import (
    Coding,
    ConversionReport,
    Evaluation,
    ModuleReport,
    ModuleStatus,
    StepFigures,
)
from spikeformer.reporting import build_report
from spikeformer.runs import ConversionResults, RunFolder

MODULES = [
    ModuleReport("", "Model", ModuleStatus.UNUSED, ""),
    ModuleReport("encoder/<0>", "Linear", ModuleStatus.CONVERTED, "2 products"),
    ModuleReport("層", "LayerNorm", ModuleStatus.FLOATING, ""),
]
CHOICE = {"levels": 8, "timesteps": 4, "agreement": 0.9, "error": 0.1, "energy_uj": 2.5}


def results(steps, **more) -> ConversionResults:
    report = ConversionReport(
        MODULES,
        3,
        Coding("rate", "IF", 4),
        2,
        [CHOICE],
        {**CHOICE, "target": "energy", "confidence": 0.8},
    )
    return ConversionResults("a/model", Evaluation(64, steps, **more), report, [0.5, math.inf])


def test_conversion_results_come_back(tmp_path):
    saved = results(
        [StepFigures(1), StepFigures(2, 0.75, 0.5, 0.1, 0.25, (1.0, 2.0, 4.0))],
        original_accuracy=0.875,
        rates={"a.b/c": 0.125},
        original_energy_uj=(1.0, 2.0, 3.0),
    )
    saved.save(RunFolder(tmp_path))
    assert ConversionResults.load(RunFolder(tmp_path)) == saved
    assert saved.numbers() == {
        "original_accuracy": 0.875,
        "accuracy": 0.75,
        "agreement": 0.5,
        "events_per_neuron": 0.25,
        "timesteps": 2,
        "num_samples": 64,
    }


def test_conversion_results_without_classes_reach_the_report(tmp_path):
    saved = results([StepFigures(1, error=0.5, events_per_neuron=0.25)])
    saved.save(RunFolder(tmp_path))
    page = build_report(tmp_path, save_figures=False).read_text(encoding="utf-8")
    assert 'id="conversion"' in page
    assert "LayerNorm" in page
    assert "(root)" not in page


def test_conversion_results_have_a_timestep():
    with pytest.raises(ValueError, match="at least one timestep"):
        results([])
