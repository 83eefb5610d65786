"""The runs of a sweep: settings over seeds, the best of them, and what each setting changes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from spikeformer.i18n import t
from spikeformer.runs import reading
from spikeformer.runs.layout import RunFolder
from spikeformer.runs.manifest import Manifest
from spikeformer.runs.reading import ResultsError
from spikeformer.runs.summary import RunSummary, named_number, summarize_runs

Value = str | int | float | bool | None

OBJECTIVES = (
    "maximize fit.val/accuracy",
    "minimize fit.val/loss",
    "maximize convert.accuracy",
    "maximize test.accuracy",
    "minimize profile.energy_per_sample_uj",
)
"""By what the best of a sweep without an objective is chosen: the first that its runs have."""


@dataclass(frozen=True)
class Statistic:
    """A number over several runs.

    Attributes:
        mean: Their mean.
        deviation: Standard deviation of the sample (n - 1); None for a single run.
        low: Lower end of the mean's 95 % interval by Student's t; None for a single run.
        high: Its upper end.
        count: How many runs have the number.

    Example:
        >>> found = Statistic.of([0.90, 0.92, 0.94])
        >>> f"{found.mean:.2f} {found.deviation:.2f} {found.low:.3f} {found.high:.3f}"
        '0.92 0.02 0.870 0.970'
    """

    mean: float
    deviation: float | None
    low: float | None
    high: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Statistic:
        """Return the statistic of at least one finite number."""
        count, mean = len(values), float(np.mean(values))
        if count < 2:
            return cls(mean, None, None, None, count)
        from scipy.stats import t as students_t  # half a second, which one run's report needs not

        deviation = float(np.std(values, ddof=1))
        half = float(students_t.ppf(0.975, count - 1)) * deviation / math.sqrt(count)
        return cls(mean, deviation, mean - half, mean + half, count)


@dataclass(frozen=True)
class Setting:
    """Runs that differ in their seed alone.

    Attributes:
        values: Of what the sweep changes, by key; None where a run does not set it.
        runs: One for each seed: of several with the same seed, the newest.
    """

    values: Mapping[str, Value]
    runs: tuple[RunSummary, ...]

    def statistic(self, number: str) -> Statistic | None:
        """Return a number over the seeds; None if no run has it."""
        found = [run.numbers[number] for run in self.runs if _has(run, number)]
        return Statistic.of(found) if found else None


@dataclass(frozen=True)
class SweepSummary:
    """A sweep, as far as the folders of its runs tell.

    Attributes:
        folder: The sweep's folder.
        objectives: Direction ("maximize" or "minimize") by number, the first one leading.
        objective: The first as the configuration writes it, as in "maximize fit.val/accuracy".
        runs: Those that have the objectives, newest first.
        left_out: The others: failed, unfinished or unreadable.
        swept: Keys in which the runs differ, without the seed.
        settings: The runs by these keys, the best mean of the first objective first.
    """

    folder: Path
    objectives: Mapping[str, str]
    objective: str
    runs: tuple[RunSummary, ...]
    left_out: tuple[RunSummary, ...]
    swept: tuple[str, ...]
    settings: tuple[Setting, ...]

    @property
    def best_runs(self) -> list[RunSummary]:
        """The best run, or with several objectives those that no other beats in all of them."""
        scores = [[run.numbers[name] for name in self.objectives] for run in self.runs]
        best = _front(scores, list(self.objectives.values()))
        leading, direction = next(iter(self.objectives.items()))
        found = [self.runs[place] for place in best]
        return sorted(found, key=lambda run: _order(run.numbers[leading], direction))

    @property
    def best_settings(self) -> list[Setting]:
        """The best setting by its mean over seeds, or those that no other beats."""
        scores = [[self.mean(each, name) for name in self.objectives] for each in self.settings]
        return [self.settings[place] for place in _front(scores, list(self.objectives.values()))]

    @property
    def is_complete(self) -> bool:
        """Whether every combination of the values was run, with the same seeds."""
        kinds = [len({each.values[key] for each in self.settings}) for key in self.swept]
        seeds = {frozenset(run.settings.get("seed") for run in x.runs) for x in self.settings}
        return len(self.settings) == math.prod(kinds) and len(seeds) == 1

    def mean(self, setting: Setting, number: str) -> float:
        """Return a setting's mean of a number that all its runs have."""
        found = setting.statistic(number)
        assert found is not None
        return found.mean

    def effect(self, key: str) -> dict[Value, list[float]]:
        """Return the first objective over all runs with each value of a key.

        In a complete grid their means are the main effect of the key; otherwise the runs with one
        value also differ from those with another in the other keys.
        """
        number = next(iter(self.objectives))
        by_value: dict[Value, list[float]] = {}
        for setting in self.settings:
            scores = [run.numbers[number] for run in setting.runs]
            by_value.setdefault(setting.values[key], []).extend(scores)
        return {value: by_value[value] for value in sorted(by_value, key=_rank)}


def summarize_sweep(folder: Path | str) -> SweepSummary:
    """Read the runs of a sweep and group them by what it changes.

    Args:
        folder: The sweep's folder.

    Raises:
        ResultsError: There is no such folder, or none of its runs has a number by which to choose.

    Example:
        >>> sweep = summarize_sweep("outputs/2026-01-31/12-00-00-sweep")  # doctest: +SKIP
        >>> sweep.best_settings[0].values                                 # doctest: +SKIP
        {'neuron': 'plif', 'timesteps': 4}
    """
    folder = Path(folder)
    found = summarize_runs(folder)
    for objectives in _objectives(found):
        named = [objective.partition(" ")[::2] for objective in objectives]
        scored = [_scored(run, [name for _, name in named]) for run in found]
        runs = tuple(run for run in scored if run is not None)
        if runs:
            used = {run.path for run in runs}
            left_out = tuple(run for run in found if run.path not in used)
            directions = {_column(name): direction for direction, name in named}
            swept = _swept(runs)
            settings = _settings(runs, swept, *next(iter(directions.items())))
            return SweepSummary(folder, directions, objectives[0], runs, left_out, swept, settings)
    names = ", ".join(sorted(run.path for run in found))
    known = ", ".join(objective for each in _objectives(found) for objective in each)
    raise ResultsError(t("pipeline.no_best_run", folder=folder, runs=names, objectives=known))


def _objectives(runs: Sequence[RunSummary]) -> list[tuple[str, ...]]:
    """Return the objectives of a search, or else those that a sweep without any may have."""
    for run in runs:
        if run.status != "broken":
            config, _ = reading.yaml_mapping(RunFolder(run.folder).config)
            found = (config or {}).get("objective")
            if isinstance(found, list) and found:
                return [tuple(map(str, found))]
    return [(objective,) for objective in OBJECTIVES]


def _column(name: str) -> str:
    """Return under what a number `stage.number` stands among those of a run."""
    stage, _, number = name.partition(".")
    return number if stage in ("fit", "test", "convert", "profile") else name


def _scored(run: RunSummary, names: Sequence[str]) -> RunSummary | None:
    """Return the run with these numbers of its stages, or None if it lacks one."""
    if run.status == "broken":
        return None
    stages = Manifest.open(run.folder, run.name).stages
    results = {key: stage.result for key, stage in stages.items()}
    scores = {_column(name): named_number(results, name) for name in names}
    if any(score is None or not math.isfinite(score) for score in scores.values()):
        return None
    known = {key: value for key, value in scores.items() if value is not None}
    return replace(run, numbers={**run.numbers, **known})


def _swept(runs: Sequence[RunSummary]) -> tuple[str, ...]:
    keys = dict.fromkeys(key for run in runs for key in run.settings if key != "seed")
    return tuple(key for key in keys if len({run.settings.get(key) for run in runs}) > 1)


def _settings(
    runs: Sequence[RunSummary], swept: Sequence[str], leading: str, direction: str
) -> tuple[Setting, ...]:
    groups: dict[tuple[Value, ...], dict[Value, RunSummary]] = {}
    for run in runs:  # newest first, so the newest of a seed stays
        values = tuple(run.settings.get(key) for key in swept)
        groups.setdefault(values, {}).setdefault(run.settings.get("seed"), run)
    found = [
        Setting(dict(zip(swept, values, strict=True)), tuple(seeds.values()))
        for values, seeds in groups.items()
    ]

    def order(setting: Setting) -> float:
        statistic = setting.statistic(leading)
        return math.inf if statistic is None else _order(statistic.mean, direction)

    return tuple(sorted(found, key=order))


def _has(run: RunSummary, number: str) -> bool:
    return number in run.numbers and math.isfinite(run.numbers[number])


def _order(score: float, direction: str) -> float:
    return -score if direction == "maximize" else score


def _rank(value: Value) -> tuple[bool, bool, float, str]:
    """Order numbers by size, then texts, then what is not set."""
    number = float(value) if isinstance(value, int | float) else 0.0
    return value is None, isinstance(value, str), number, str(value)


def _front(scores: Sequence[Sequence[float]], directions: Sequence[str]) -> list[int]:
    """Return the places of the scores that no other beats in all, or equals and beats in one."""
    costs = np.array(
        [[_order(x, d) for x, d in zip(row, directions, strict=True)] for row in scores]
    )
    return [
        place
        for place, own in enumerate(costs)
        if not ((costs <= own).all(1) & (costs < own).any(1)).any()
    ]
