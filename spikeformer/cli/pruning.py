"""Gives up the trials of a search that fall behind the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from spikeformer.cli.search import named_direction, prunes


class PruneTrial(L.Callback):
    """Reports the objective after each validation, and ends training where Optuna's pruner says so.

    The stages after training run as always; the search counts the trial as pruned. Outside of a
    search with a pruner (`hydra/sweeper/pruner=median`) nothing happens.

    Args:
        objective: What the search improves, as in ["maximize fit.val/accuracy"].
    """

    def __init__(self, objective: Sequence[str]) -> None:
        self.objective = list(objective)
        self._trial: Any = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Find the trial that this run is."""
        if stage == "fit" and trainer.is_global_zero:
            self._trial = trial_of_this_run()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Report the objective; let all ranks stop if the trial is given up."""
        if trainer.sanity_checking:
            return
        stop = self._trial is not None and self._falls_behind(trainer)
        if trainer.strategy.broadcast(stop):
            trainer.should_stop = True

    def _falls_behind(self, trainer: L.Trainer) -> bool:
        from spikeformer.cli.study import PRUNED

        name, _ = named_direction(self.objective[0])
        value = trainer.callback_metrics.get(name.removeprefix("fit."))
        known = self._trial.study.get_trials(deepcopy=False)[self._trial.number]
        if value is None or trainer.current_epoch in known.intermediate_values:
            return False  # a resumed trial has reported its earlier epochs
        self._trial.report(float(value), trainer.current_epoch)
        if not self._trial.should_prune():
            return False
        self._trial.set_user_attr(PRUNED, True)
        return True


def trial_of_this_run() -> Any:
    """Return Optuna's trial if this run is one of a search that prunes, else None."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    config = HydraConfig.get()
    settings: Any = OmegaConf.to_container(config.sweeper, resolve=True)
    if "pruner" not in settings or not prunes(settings):
        return None
    import optuna

    from spikeformer.cli.study import JOB, SWEEP, make_part, open_storage

    folder = Path(config.sweep.dir).resolve()
    study = optuna.load_study(
        study_name=settings["study_name"],
        storage=open_storage(settings["storage"], folder),
        sampler=optuna.samplers.RandomSampler(),  # nothing is drawn here
        pruner=make_part(settings["pruner"], optuna.pruners.BasePruner),
    )
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        if trial.user_attrs.get(SWEEP) == str(folder) and trial.user_attrs[JOB] == config.job.num:
            return optuna.trial.Trial(study, trial._trial_id)
    return None
