"""What stands at the top of the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from spikeformer.conversion import Coding, ConversionReport, Evaluation, StepFigures
from spikeformer.reporting.headline import headline
from spikeformer.runs import ConversionResults, FitResults, RunResults, StageRecord, TestResults

EMPTY = RunResults(Path("run"), "run")


def test_headline_of_an_empty_run_has_a_name():
    found = headline(EMPTY)
    assert (found.name, found.created, found.score, found.facts, found.stages) == (
        "run",
        None,
        None,
        [],
        [],
    )


@pytest.mark.parametrize(
    ("metrics", "label", "value"),
    [
        ({"loss": 0.5, "accuracy": 0.75}, "accuracy", "75.0 %"),
        ({"loss": 0.5, "rmse": 2.0, "r2": 0.9}, "R2", "0.9"),
        ({"loss": 0.5, "firing_rate": 0.1, "hamming": 0.2}, "hamming", "0.2"),
        ({"loss": 0.5, "firing_rate": 0.1}, "loss", "0.5"),
    ],
)
def test_headline_leads_with_the_metric_that_says_most(metrics, label, value):
    score = headline(replace(EMPTY, test=TestResults(metrics))).score
    assert score is not None
    assert label in score.label
    assert score.value.replace("\N{NO-BREAK SPACE}", " ") == value


def test_headline_without_a_test_takes_the_best_validation():
    history = pd.DataFrame({"epoch": [0, 1, 2], "val/accuracy": [0.5, 0.875, 0.75]})
    found = headline(replace(EMPTY, history=history))
    assert found.score is not None
    assert found.score.value.startswith("87.5")
    assert [fact.value for fact in found.facts] == ["3"]
    nothing = history.assign(**{"val/accuracy": float("nan")})
    assert headline(replace(EMPTY, history=nothing)).score is None


def test_headline_facts_are_those_of_training_and_firing():
    fit = FitResults(2, 4, 9.0, 412_345, {})
    test = TestResults({"accuracy": 0.5}, firing_rates={"a": 0.1, "b": 0.3})
    stages = {"fit": StageRecord("done", seconds=83.0)}
    facts = headline(replace(EMPTY, fit=fit, test=test, stages=stages)).facts
    values = [fact.value.replace("\N{NO-BREAK SPACE}", " ") for fact in facts]
    assert values == ["1 min 23 s", "412 k", "20.0 %"]


@pytest.mark.parametrize("status", ["running", "failed"])
def test_headline_stages_leave_out_the_report_in_the_making(status):
    stages = {
        "fit": StageRecord("done", seconds=1.0),
        "test": StageRecord("failed", error="NaN"),
        "profile": StageRecord("running"),
        "report": StageRecord(status),
    }
    found = headline(replace(EMPTY, stages=stages, created="2025-03-04T10:20:30"))
    assert [(stage.name, stage.state) for stage in found.stages] == [
        ("fit", "done"),
        ("test", "failed"),
        ("profile", "open"),
    ]
    assert found.stages[1].error == "NaN"
    assert found.created_iso == "2025-03-04T10:20:30"
    assert headline(replace(EMPTY, created="yesterday")).created == "yesterday"


@pytest.mark.parametrize(
    ("retention", "score"), [(0.9, ("of the original's accuracy kept", "90.0 %")), (None, None)]
)
def test_headline_of_a_conversion_says_what_it_kept(retention, score):
    step = StepFigures(8, accuracy=0.81, events_per_neuron=0.25)
    evaluation = Evaluation(64, [step], original_accuracy=0.9, retention=retention)
    report = ConversionReport([], 0, Coding("rate", "IF", 4), 8, [], {})
    found = ConversionResults("a/model", evaluation, report, [])
    shown = headline(replace(EMPTY, conversion=found))
    kept = shown.score and (shown.score.label, shown.score.value.replace("\u00a0", " "))
    assert kept == score
    assert [(fact.label, fact.value.replace("\u00a0", " ")) for fact in shown.facts] == [
        ("accuracy", "81.0 % (original 90.0 %)"),
        ("timesteps", "8"),
        ("events per neuron", "0.25"),
    ]
