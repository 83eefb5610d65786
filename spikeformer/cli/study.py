"""A search with Optuna that outlives the process: what it has tried, is trying, and tries next."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from spikeformer.cli.space import Space, grid, search_space
from spikeformer.error_handling import ConfigurationError
from spikeformer.files import write_text
from spikeformer.i18n import t
from spikeformer.runs.summary import is_number, named_number

log = logging.getLogger(__name__)

SWEEP, JOB, PRUNED = "spikeformer/sweep", "spikeformer/job", "spikeformer/pruned"
"""What a trial remembers: the sweep's folder, its own in it, and whether it was given up."""


def open_storage(storage: str | None, sweep_dir: Path) -> str | BaseStorage:
    """Return where a search keeps its trials.

    Args:
        storage: A URL of a database, or the path of a journal, which file systems of a cluster can
            share; None is a database in the sweep's folder.
        sweep_dir: The sweep's folder.
    """
    if storage is None:
        return f"sqlite:///{sweep_dir / 'study.db'}"
    if "://" in storage:
        return storage
    return JournalStorage(JournalFileBackend(str(Path(storage).expanduser().absolute())))


def make_part(settings: Mapping[str, Any], kind: type) -> Any:
    """Make a sampler or a pruner of Optuna's from its node of the configuration.

    Raises:
        ConfigurationError: Its `_target_` is none, or does not take these settings.
    """
    target = str(settings["_target_"])
    module = optuna.samplers if kind is optuna.samplers.BaseSampler else optuna.pruners
    made = getattr(module, target.removeprefix(f"{module.__name__}."), None)
    if not (isinstance(made, type) and issubclass(made, kind)):
        raise ConfigurationError(t("cli.no_optuna_part", target=target, module=module.__name__))
    try:
        return made(**{key: value for key, value in settings.items() if key != "_target_"})
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{target}: {error}") from error


class _Grid(optuna.samplers.GridSampler):
    """Draws each point once; it is counted here when there are no more, Optuna need not stop."""

    def after_trial(self, *args: Any) -> None:
        """Do nothing."""


class Search:
    """Tries points of a space until there are `n_trials`, some at a time.

    Args:
        objective: Direction of each number to improve, by its name `stage.number`.
        launcher: Runs the trials.
        folder: The sweep's folder.
        settings: The configuration of `hydra/sweeper=optuna`.
    """

    def __init__(
        self,
        objective: Mapping[str, str],
        launcher: Launcher,
        folder: Path,
        settings: Mapping[str, Any],
    ) -> None:
        self.objective, self.launcher = objective, launcher
        self.folder, self.settings = folder.resolve(), settings

    def run(self, overrides: Sequence[str]) -> None:
        """Finish what was cut short, then go on with the search.

        Args:
            overrides: Of the command line, with the ranges to search.

        Raises:
            ConfigurationError: The space has no grid where one is asked for, or no trial succeeded.
        """
        given = [f"{key}={value}" for key, value in (self.settings["params"] or {}).items()]
        space, fixed = search_space([*given, *overrides])
        study = self._open(space)
        self._finish_interrupted(study, space, fixed)
        trials = study.get_trials(deepcopy=False)
        finished = sum(trial.state.is_finished() for trial in trials)
        wanted = self._wanted(space)
        if finished:
            log.info(t("cli.trials_done", finished=finished, wanted=wanted))
            # A sampler with the same seed would draw the same values again.
            study.sampler.reseed_rng()
        next_job = 1 + max((trial.user_attrs[JOB] for trial in self._own(trials)), default=-1)
        for start in range(finished, wanted, self.settings["n_jobs"]):
            count = min(self.settings["n_jobs"], wanted - start)
            batch = [study.ask(space) for _ in range(count)]
            for job, trial in enumerate(batch, next_job):
                trial.set_user_attr(JOB, job)
                trial.set_user_attr(SWEEP, str(self.folder))
            self._try(study, batch, fixed, next_job)
            next_job += count
        self._write_best(study)

    def _open(self, space: Space) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.settings["sampler"]
        if self._is_grid():
            sampler: optuna.samplers.BaseSampler = _Grid(grid(space), seed=settings.get("seed"))
        else:
            sampler = make_part(settings, optuna.samplers.BaseSampler)
        return optuna.create_study(
            study_name=self.settings["study_name"],
            storage=open_storage(self.settings["storage"], self.folder),
            sampler=sampler,
            directions=list(self.objective.values()),
            load_if_exists=True,
        )

    def _is_grid(self) -> bool:
        return str(self.settings["sampler"]["_target_"]).endswith(".GridSampler")

    def _wanted(self, space: Space) -> int:
        """Return how many trials make a whole search: on a grid no more than it has points."""
        points = math.prod(map(len, grid(space).values())) if self._is_grid() else math.inf
        return int(min(self.settings["n_trials"], points))

    def _own(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Return the trials of this sweep; a storage may serve several."""
        return [
            trial
            for trial in trials
            if trial.user_attrs.get(SWEEP) == str(self.folder)
            and isinstance(trial.user_attrs.get(JOB), int)
        ]

    def _finish_interrupted(
        self, study: optuna.Study, space: Space, fixed: Mapping[str, str]
    ) -> None:
        """Run again, in their own folders, the trials that have no result.

        What they run with is made of their values anew; a storage's own word is not taken for it.
        """
        waiting = self._own(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
        for trial in waiting:
            if trial.distributions != space:
                study.tell(trial.number, state=TrialState.FAIL)
        trials = [trial for trial in waiting if trial.distributions == space]
        if trials:
            # They were one batch, so their folders' numbers follow each other.
            trials.sort(key=lambda trial: int(trial.user_attrs[JOB]))
            self._try(study, trials, fixed, trials[0].user_attrs[JOB])

    def _try(
        self,
        study: optuna.Study,
        trials: Sequence[Trial | FrozenTrial],
        fixed: Mapping[str, str],
        first_job: int,
    ) -> None:
        """Run trials, and keep what they reach.

        Raises:
            ConfigurationError: Their results have no such number as the objective.
            Exception: What a trial ended with, if too many failed.
        """
        points = [{**_texts(trial.params), **fixed} for trial in trials]
        commands = [[f"{key}={value}" for key, value in point.items()] for point in points]
        returns = self.launcher.launch(commands, initial_job_idx=first_job)
        failed = [
            done
            for trial, done in zip(trials, returns, strict=True)
            if not self._keep(study, trial.number, done)
        ]
        if len(failed) > self.settings["max_failure_rate"] * len(returns):
            _ = failed[0].return_value  # raises what it ended with
            raise ConfigurationError(t("cli.no_trial"))

    def _keep(self, study: optuna.Study, number: int, done: JobReturn) -> bool:
        """Tell the study what became of a trial; return whether it succeeded."""
        try:
            results = done.return_value
        except Exception as error:
            log.warning(t("cli.trial_failed", reason=error))
            study.tell(number, state=TrialState.FAIL)
            return False
        values = [score(results, name) for name in self.objective]
        attributes = study.get_trials(deepcopy=False)[number].user_attrs
        if attributes.get(PRUNED):
            log.info(t("cli.trial_pruned", number=attributes[JOB]))
            study.tell(number, state=TrialState.PRUNED)
        elif any(map(math.isnan, values)):
            log.warning(t("cli.trial_failed", reason=f"{[*self.objective]} = {values}"))
            study.tell(number, state=TrialState.FAIL)
            return False
        else:
            study.tell(number, values)
        return True

    def _write_best(self, study: optuna.Study) -> None:
        """Write `optimization_results.yaml`: the best trial, or all that no other beats.

        Raises:
            ConfigurationError: None succeeded.
        """
        if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            raise ConfigurationError(t("cli.no_trial"))
        found = [study.best_trial] if len(self.objective) == 1 else study.best_trials
        for trial in found:
            log.info(t("cli.best_trial", values=trial.values, params=trial.params))
        best: dict[str, Any] = {"name": "optuna"}
        if len(self.objective) == 1:
            best |= {"best_params": study.best_params, "best_value": study.best_value}
        else:
            best["solutions"] = [
                {"params": x.params, "values": x.values} for x in study.best_trials
            ]
        write_text(self.folder / "optimization_results.yaml", OmegaConf.to_yaml(DictConfig(best)))


def _texts(params: Mapping[str, Any]) -> dict[str, str]:
    return {name: "null" if value is None else str(value) for name, value in params.items()}


def score(results: Mapping[str, Mapping[str, Any]], objective: str) -> float:
    """Return one number of a run's results.

    Args:
        results: The numbers of each stage, by its name.
        objective: `stage.number`, as in `fit.val/accuracy`.

    Raises:
        ConfigurationError: The results have no such number.
    """
    value = named_number(results, objective)
    if value is None:
        known = [
            f"{stage}.{name}"
            for stage, numbers in results.items()
            for name, number in numbers.items()
            if is_number(number)
        ]
        message = t("cli.no_such_objective", objective=objective, known=", ".join(known))
        raise ConfigurationError(message)
    return value
