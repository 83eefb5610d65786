"""Turn a run folder into figures and one self-contained page that a person opens.

`build_report` does the whole job for one run, `build_sweep_page` for a sweep, and `build_dashboard`
compares any runs; `load_results`
reads the files for a notebook; the functions in `spikeformer.reporting.figures` draw one figure
each from plain data and may be used anywhere.
"""

from __future__ import annotations

from spikeformer.reporting import figures
from spikeformer.reporting.dashboard import build_dashboard
from spikeformer.reporting.headline import Fact
from spikeformer.reporting.report import build_report, build_section_page
from spikeformer.reporting.sections import (
    SECTIONS,
    Content,
    ReportFigure,
    Section,
    register_section,
)
from spikeformer.reporting.sweep import build_sweep_page
from spikeformer.runs import (
    EnergyResults,
    ResultsError,
    RunResults,
    RunSummary,
    SampleResults,
    TestResults,
    load_results,
    summarize_runs,
)

__all__ = [
    "SECTIONS",
    "Content",
    "EnergyResults",
    "Fact",
    "ReportFigure",
    "ResultsError",
    "RunResults",
    "RunSummary",
    "SampleResults",
    "Section",
    "TestResults",
    "build_dashboard",
    "build_report",
    "build_section_page",
    "build_sweep_page",
    "figures",
    "load_results",
    "register_section",
    "summarize_runs",
]
