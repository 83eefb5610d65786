"""`spikeformer runs` and `spikeformer report`: what run folders hold, and their pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spikeformer import importing
from spikeformer.cli.parser import command_parser
from spikeformer.cli.text import table
from spikeformer.i18n import format_number, t

if TYPE_CHECKING:
    from spikeformer.runs import RunSummary

# Runs bring torch and their pages matplotlib, which the other commands need not wait for.


def runs(arguments: Sequence[str]) -> int:
    """Print a table of the runs below a folder, newest first; return 0.

    Args:
        arguments: What follows `runs` on the command line.
    """
    with importing():
        from spikeformer.runs import summarize_runs

    parser = command_parser("runs", "  spikeformer runs outputs")
    parser.add_argument("folder", nargs="?", default="outputs", type=Path, metavar="FOLDER")
    folder = parser.parse_args(arguments).folder
    found = summarize_runs(folder)
    if not found:
        print(t("cli.no_runs", folder=folder))
        return 0
    columns = ("created", "name", "pipeline", "status", "accuracy", "folder")
    heads = [t(f"cli.runs_{column}") for column in columns]
    rows = [heads, *map(_row, found)]
    print("\n".join(table(rows, names=len(heads))))
    return 0


def _row(run: RunSummary) -> list[str]:
    accuracy = run.numbers.get("accuracy", run.numbers.get("val/accuracy"))
    return [
        (run.created or "")[:16].replace("T", " "),
        run.name,
        run.pipeline,
        t(f"reporting.status_{run.status}"),
        "" if accuracy is None else f"{format_number(100 * accuracy, '.2f')} %",
        str(run.folder),
    ]


def report(arguments: Sequence[str]) -> int:
    """Write the page of a run or sweep folder again, print its path; return 0.

    Args:
        arguments: What follows `report` on the command line.

    Raises:
        ResultsError: It is neither folder, or one of its files cannot be read; a sweep was given
            a baseline, or the baseline is no run.
    """
    with importing():
        from spikeformer.reporting import build_report, build_sweep_page
        from spikeformer.runs import ResultsError, RunFolder, find_baseline

    parser = command_parser("report", "  spikeformer report outputs/RUN --baseline outputs/OTHER")
    parser.add_argument("folder", type=Path, metavar="RUN", help=t("cli.run_folder"))
    parser.add_argument("--baseline", type=Path, metavar="RUN", help=t("cli.report_baseline"))
    given = parser.parse_args(arguments)
    folder, baseline = given.folder, given.baseline
    if RunFolder(folder).manifest.is_file():
        if baseline is not None:
            find_baseline(baseline).save(RunFolder(folder))
        print(build_report(folder))
    elif RunFolder(folder).sweep.is_file():
        if baseline is not None:
            raise ResultsError(t("cli.baseline_of_sweep"))
        print(build_sweep_page(folder))
    else:
        raise ResultsError(t("cli.not_a_run", folder=folder))
    return 0
