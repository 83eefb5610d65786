"""Hydra's sweeper for Optuna, extended by what it lacks: objectives by name, and resuming."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from hydra_plugins.hydra_optuna_sweeper._impl import (
    OptunaSweeperImpl,
    create_params_from_overrides,
)
from omegaconf import DictConfig
from optuna.trial import FrozenTrial, TrialState

from spikeformer.error_handling import ConfigurationError
from spikeformer.i18n import t

log = logging.getLogger(__name__)

SWEEP, JOB, OVERRIDES = "spikeformer/sweep", "spikeformer/job", "spikeformer/overrides"
"""What each trial remembers: the sweep's folder, its own in it, and what it ran with."""


class StudySweeper(OptunaSweeperImpl):
    """Searches in a study that outlives the process.

    Args:
        objective: Direction of each number to improve, by its name `stage.number`.
        **settings: Arguments of Hydra's `OptunaSweeper`; its direction is the objective's.
    """

    launcher: Launcher
    n_trials: int
    sweep_dir: str

    def __init__(self, objective: Mapping[str, str], **settings: Any) -> None:
        super().__init__(**{**settings, "direction": list(objective.values())})
        self.objective = list(objective)

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Make the launcher, and let it return the objectives."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.launcher = _Scored(self.launcher, self.objective)
        self.sweep_dir = str(Path(self.sweep_dir).resolve())

    def sweep(self, arguments: list[str]) -> None:
        """Finish what was cut short, then search on until there are `n_trials`."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # Hydra says the same
        study = optuna.create_study(
            study_name=self.study_name,
            storage=self.storage,
            directions=self._get_directions(),
            load_if_exists=True,
        )
        self._finish_interrupted(study)
        trials = study.get_trials(deepcopy=False)
        finished = sum(trial.state.is_finished() for trial in trials)
        if finished:
            log.info(t("cli.trials_done", finished=finished, wanted=self.n_trials))
            if not isinstance(self.sampler, functools.partial):
                # A sampler with the same seed would draw the same values again.
                self.sampler.reseed_rng()
        self.job_idx = 1 + max((trial.user_attrs[JOB] for trial in self._own(trials)), default=-1)
        self.n_trials = max(0, self._wanted(arguments) - finished)
        try:
            super().sweep(arguments)
        except ValueError as error:
            if any(t.state == TrialState.COMPLETE for t in study.get_trials(deepcopy=False)):
                raise
            raise ConfigurationError(t("cli.no_trial")) from error

    def _own(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Return the trials of this sweep; a storage may serve several."""
        return [trial for trial in trials if trial.user_attrs.get(SWEEP) == self.sweep_dir]

    def _wanted(self, arguments: list[str]) -> int:
        """Return how many trials make a whole search: on a grid no more than it has points."""
        if not isinstance(self.sampler, functools.partial):
            return self.n_trials
        given = [*self._parse_sweeper_params_config(), *arguments]
        distributions, fixed = create_params_from_overrides(given)
        sizes = [
            len(self._to_grid_sampler_choices(distribution))
            for name, distribution in distributions.items()
            if name not in fixed
        ]
        return min(self.n_trials, math.prod(sizes))

    def _configure_trials(
        self, trials: list[Any], search_space_distributions: Any, fixed_params: Any
    ) -> Sequence[Sequence[str]]:
        """Let each trial remember its folder and overrides, for the case of an interruption."""
        overrides: Sequence[Sequence[str]] = super()._configure_trials(
            trials, search_space_distributions, fixed_params
        )
        for job, (trial, given) in enumerate(zip(trials, overrides, strict=True), self.job_idx):
            trial.set_user_attr(OVERRIDES, list(given))
            trial.set_user_attr(JOB, job)
            trial.set_user_attr(SWEEP, self.sweep_dir)
        return overrides

    def _finish_interrupted(self, study: optuna.Study) -> None:
        """Run again, in their own folders, the trials that have no result."""
        states = (TrialState.RUNNING,)
        trials = self._own(study.get_trials(deepcopy=False, states=states))
        if not trials:
            return
        # They were one batch, so their folders' numbers follow each other.
        first = min(trial.user_attrs[JOB] for trial in trials)
        returns = self.launcher.launch([t.user_attrs[OVERRIDES] for t in trials], first)
        for trial, done in zip(trials, returns, strict=True):
            try:
                values = done.return_value
            except Exception as error:
                log.warning(t("cli.trial_failed", reason=error))
                study.tell(trial.number, state=TrialState.FAIL)
            else:
                study.tell(trial.number, values)


class _Scored(Launcher):
    """A launcher whose jobs return objectives in place of a run's results."""

    def __init__(self, launcher: Launcher, objective: Sequence[str]) -> None:
        self.launcher, self.objective = launcher, objective

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.launcher.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        returns = self.launcher.launch(job_overrides, initial_job_idx=initial_job_idx)
        for done in returns:
            if done.status == JobStatus.COMPLETED:
                values = [score(done.return_value, name) for name in self.objective]
                done.return_value = values[0] if len(values) == 1 else values
        return returns


def score(results: Mapping[str, Mapping[str, Any]], objective: str) -> float:
    """Return one number of a run's results.

    Args:
        results: The numbers of each stage, by its name.
        objective: `stage.number`, as in `fit.val/accuracy`.

    Raises:
        ConfigurationError: The results have no such number.
    """
    stage, _, name = objective.partition(".")
    value = results.get(stage, {}).get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        known = [
            f"{stage}.{name}"
            for stage, numbers in results.items()
            for name, number in numbers.items()
            if isinstance(number, int | float) and not isinstance(number, bool)
        ]
        message = t("cli.no_such_objective", objective=objective, known=", ".join(known))
        raise ConfigurationError(message)
    return float(value)
