"""A converted network beside its original, on the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spikeformer.conversion import (
    Coding,
    ConversionReport,
    Evaluation,
    ModuleReport,
    ModuleStatus,
    StepFigures,
)
from spikeformer.reporting.sections.conversion import conversion
from spikeformer.runs import ConversionResults, RunResults

EMPTY = RunResults(Path("run"), "run")
MODULES = [
    ModuleReport("", "Model", ModuleStatus.UNUSED, ""),
    ModuleReport("encoder", "Linear", ModuleStatus.CONVERTED, "2 products"),
]
CHOICE = {"levels": 8, "timesteps": 2, "agreement": 0.9, "error": 0.1, "energy_uj": 2.5}


def content_of(report: ConversionReport, evaluation: Evaluation):
    found = ConversionResults("a/model", evaluation, report, [])
    return conversion(replace(EMPTY, conversion=found))


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_conversion_is_left_out_without_one():
    assert conversion(EMPTY) is None


def test_conversion_shows_both_networks_beside_each_other():
    report = ConversionReport(MODULES, 3, Coding("rate", "IF", 4), 2, [], {})
    steps = [StepFigures(1), StepFigures(2, 0.75, 0.5, 0.125, 0.25, (1.0, 2.0, 4.0))]
    evaluation = Evaluation(
        64, steps, original_accuracy=0.875, original_seconds=0.25, exit_timesteps=1.5
    )
    content = content_of(report, evaluation)
    rows = {name: (plain(a), plain(b)) for name, a, b in content.values["rows"]}
    assert rows["Accuracy"] == ("87.5 %", "75.0 %")
    assert ("250 ms", "\N{EN DASH}") in rows.values()
    assert ("", "0.12") in rows.values()
    assert ("", "1.50") in rows.values()
    assert content.values["modules"] == report.computing
    assert list(content.figures) == ["conversion", "events"]
    drawn = {line.get_label(): line for line in content.figures["conversion"].figure.axes[0].lines}
    assert drawn["accuracy"].get_ydata()[-1] == 0.75


def test_conversion_draws_the_trade_off_that_was_chosen_from():
    chosen = {**CHOICE, "target": "energy", "confidence": 0.8}
    report = ConversionReport(MODULES, 3, Coding("rate", "IF", 4), 2, [CHOICE], chosen)
    content = content_of(report, Evaluation(64, [StepFigures(1), StepFigures(2)]))
    assert set(content.figures) == {"conversion", "events", "trade_off"}
    for text in ("energy", "0.8", "rate", "IF"):
        assert text in content.values["written"]


def test_conversion_of_a_language_model_shows_perplexity_and_bits():
    report = ConversionReport(MODULES, 3, Coding("rate", "IF", 24), 2, [], {})
    step = StepFigures(2, 0.75, 0.5, 0.125, 0.25, perplexity=16.5, divergence=0.0025)
    evaluation = Evaluation(64, [step], original_perplexity=16.0, num_bytes=256)
    content = content_of(report, evaluation)
    rows = {name: (plain(a), plain(b)) for name, a, b in content.values["rows"]}
    assert rows["Perplexity"] == ("16", "16.5")
    assert rows["Bits per byte of text"] == ("1", "1.011")  # log2(16.5) * 64 / 256
    assert ("", "0.0025") in rows.values()
    assert content.values["of_tokens"]
