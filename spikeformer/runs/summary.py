"""Many run folders as one table: what was set, what came out, and what went wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from spikeformer.i18n import t
from spikeformer.runs import reading
from spikeformer.runs.layout import RunFolder
from spikeformer.runs.manifest import Manifest, StageRecord
from spikeformer.runs.reading import ResultsError
from spikeformer.runs.results import (
    BaselineResults,
    ConversionResults,
    EnergyResults,
    FitResults,
    Result,
    TestResults,
)
from spikeformer.runs.results.baseline import flat

_NOT_SETTINGS = ("hydra", "logger", "name", "objective", "paths", "pipeline", "trusted_packages")
_GROUPS = ("data", "model", "neuron")
"""Groups whose choice every run shows, whether it was overridden or not."""


@dataclass(frozen=True)
class RunSummary:
    """One run, as far as its folder tells.

    Attributes:
        folder: The run folder.
        path: The folder, relative to the one that was searched.
        name: The run's name.
        pipeline: The pipeline that was chosen: "train", "evaluate", ...; "" if that is not known.
        sweep: Name of the sweep's folder, if it is a sweep's child.
        created: When it was started, ISO 8601.
        status: "done", "running" or "failed"; "broken" where a file could not be read.
        problem: What failed, or which file is broken.
        settings: What the command line set, and the groups that were chosen.
        numbers: What came out, by the names of `Result.numbers`: `accuracy`, `val/accuracy`, ...
        curves: Values per epoch, by column of `metrics.csv`.
        report: The run's own page, if there is one.
    """

    folder: Path
    path: str
    name: str
    pipeline: str = ""
    sweep: str | None = None
    created: str | None = None
    status: str = "done"
    problem: str | None = None
    settings: dict[str, str | int | float | bool] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[float | None]] = field(default_factory=dict)
    report: Path | None = None


def summarize_runs(root: Path | str) -> list[RunSummary]:
    """Read every run folder below a folder, or the folder itself, newest first.

    Args:
        root: A folder of runs, as `outputs`; a sweep's folder; or a run folder.

    Raises:
        ResultsError: There is no such folder. A run that cannot be read is no error: its
            `status` is "broken".

    Example:
        >>> import tempfile
        >>> summarize_runs(tempfile.mkdtemp())
        []
    """
    root = Path(root)
    if not root.is_dir():
        raise ResultsError(t("reporting.no_folder_of_runs", path=root))
    runs = [_summarize(folder, root) for folder in _run_folders(root)]
    return sorted(runs, key=lambda run: (run.created or "", run.path), reverse=True)


def find_baseline(folder: Path | str) -> BaselineResults:
    """Return what an earlier run is compared by.

    Args:
        folder: A run folder.

    Raises:
        ResultsError: It is none, or one of its files cannot be read.
    """
    files = RunFolder(Path(folder))
    if not files.manifest.is_file():
        raise ResultsError(t("reporting.no_baseline", folder=folder))
    run = _read_run(files.path, str(folder))
    config, _ = reading.yaml_mapping(files.config)
    return BaselineResults(run.name, str(folder), run.created, run.numbers, flat(config or {}))


def _run_folders(root: Path) -> Iterator[Path]:
    """Yield folders with a run's files, without looking for runs inside of runs."""
    for folder, below, files in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith("."))
        if "manifest.json" in files or "config.yaml" in files:
            below.clear()
            yield Path(folder)


def _summarize(folder: Path, root: Path) -> RunSummary:
    path = str(folder.relative_to(root)) if folder != root else folder.resolve().name
    try:
        return _read_run(folder, path)
    except ResultsError as error:
        return RunSummary(folder, path, folder.name, status="broken", problem=str(error))


def _read_run(folder: Path, path: str) -> RunSummary:
    files = RunFolder(folder)
    if not files.manifest.exists():
        raise ResultsError(t("reporting.stopped_early", folder=folder))
    manifest = Manifest.open(folder, folder.name)
    stages = manifest.stages
    config, _ = reading.yaml_mapping(files.config)
    history = reading.history(files.history)
    status, problem = _status(stages)
    report = files.report
    return RunSummary(
        folder=folder,
        path=path,
        name=manifest.name,
        pipeline=manifest.choices.get("pipeline", ""),
        sweep=folder.parent.name if RunFolder(folder.parent).sweep.is_file() else None,
        created=manifest.created,
        status=status,
        problem=problem,
        settings=_settings(files, config or {}, manifest.choices),
        numbers=run_numbers(stages, len(history) if history is not None else 0),
        curves={}
        if history is None
        else {
            str(name): [None if value != value else float(value) for value in history[name]]
            for name in history
        },
        report=report if report.is_file() else None,
    )


def _status(stages: Mapping[str, StageRecord]) -> tuple[str, str | None]:
    for name, stage in stages.items():
        if stage.status == "failed":
            return "failed", f"{name}: {stage.error or t('reporting.no_message')}"
    if not stages or any(stage.status != "done" for stage in stages.values()):
        return "running", None
    return "done", None


def _settings(
    files: RunFolder, config: Mapping[str, Any], choices: Mapping[str, str]
) -> dict[str, str | int | float | bool]:
    """Return chosen groups, seed and timesteps, and every override's value as it was resolved."""
    settings: dict[str, str | int | float | bool] = {}
    for group in _GROUPS:
        target = config.get(group)
        if group in choices:
            settings[group] = str(choices[group])
        elif isinstance(target, dict) and "_target_" in target:
            settings[group] = str(target["_target_"]).rpartition(".")[2]
    for key in ("timesteps", "seed"):
        if isinstance(config.get(key), int):
            settings[key] = config[key]
    for override in reading.yaml_list(files.overrides):
        key, _, text = override.partition("=")
        key = key.lstrip("+~")
        if key.partition(".")[0].partition("/")[0] in _NOT_SETTINGS or key in settings:
            continue
        value: Any = config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        settings[key] = value if isinstance(value, str | int | float | bool) else text
    return settings


_KINDS: Mapping[str, type[Result]] = {
    "fit": FitResults,
    "test": TestResults,
    "convert": ConversionResults,
    "profile": EnergyResults,
}
"""What the stages found by which runs are compared."""


def run_numbers(stages: Mapping[str, StageRecord], epochs: int = 0) -> dict[str, float]:
    """Return what came out of a run's stages, as far as runs are compared by it."""
    numbers: dict[str, float] = {"epochs": epochs} if epochs else {}
    for stage, kind in _KINDS.items():
        result = stages[stage].result if stage in stages else {}
        numbers |= {key: x for key, x in result.items() if kind.compares(key) and is_number(x)}
    return numbers


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a stage's result is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def named_number(results: Mapping[str, Mapping[str, Any]], name: str) -> float | None:
    """Return a number of a run's stages, such as `fit.val/accuracy`; None if there is none."""
    stage, _, key = name.partition(".")
    value = results.get(stage, {}).get(key)
    return float(value) if is_number(value) else None
