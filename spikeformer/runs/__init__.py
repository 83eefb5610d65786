"""What a run leaves in its folder: where it lies, what was done, what came out.

Stages write it; the report, the dashboard and a notebook read it from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikeformer import lazily

if TYPE_CHECKING:
    from spikeformer.runs.layout import RunFolder
    from spikeformer.runs.loading import LoadedRun, LoadedSweep, load_run
    from spikeformer.runs.manifest import Manifest, StageRecord
    from spikeformer.runs.network import build_network, load_weights, read_preparation
    from spikeformer.runs.reading import ResultsError
    from spikeformer.runs.results import (
        BaselineResults,
        ConversionResults,
        DataResults,
        EnergyResults,
        ExampleResults,
        FitResults,
        HardwareResults,
        PlanResults,
        PredictionResults,
        PrivacyResults,
        Result,
        RunResults,
        SampleResults,
        TaskResults,
        TestResults,
        TrainedValidationResults,
        ValidationResults,
        VerificationResults,
        load_results,
    )
    from spikeformer.runs.summary import RunSummary, find_baseline, summarize_runs
    from spikeformer.runs.sweep import Setting, Statistic, SweepSummary, summarize_sweep
    from spikeformer.runs.texts import TextGenerator, is_language_model
else:
    __getattr__, __dir__ = lazily(__name__)

__all__ = [
    "BaselineResults",
    "ConversionResults",
    "DataResults",
    "EnergyResults",
    "ExampleResults",
    "FitResults",
    "HardwareResults",
    "LoadedRun",
    "LoadedSweep",
    "Manifest",
    "PlanResults",
    "PredictionResults",
    "PrivacyResults",
    "Result",
    "ResultsError",
    "RunFolder",
    "RunResults",
    "RunSummary",
    "SampleResults",
    "Setting",
    "StageRecord",
    "Statistic",
    "SweepSummary",
    "TaskResults",
    "TestResults",
    "TextGenerator",
    "TrainedValidationResults",
    "ValidationResults",
    "VerificationResults",
    "build_network",
    "find_baseline",
    "is_language_model",
    "load_results",
    "load_run",
    "load_weights",
    "read_preparation",
    "summarize_runs",
    "summarize_sweep",
]
