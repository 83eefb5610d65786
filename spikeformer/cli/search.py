"""The sweeper behind `hydra/sweeper=optuna`: a search that can be killed and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from spikeformer.error_handling import ArgumentError, ConfigurationError, MissingDependencyError
from spikeformer.i18n import t


class OptunaSearch(Sweeper):
    """Searches with Optuna and goes on where a killed search was.

    Finished trials are read from the storage and count as done. Trials that were cut short are
    continued in their own folders, from their checkpoints. What to improve is the configuration's
    `objective`; it decides the directions.

    Args:
        **settings: The keys of `conf/hydra/sweeper/optuna.yaml`.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self._search: Any = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Make the launcher and open the study.

        Raises:
            ConfigurationError: There is no objective, or pruning is asked for with several.
            ArgumentError: It does not say "maximize" or "minimize".
            MissingDependencyError: Optuna is not installed.
        """
        if not config.objective:
            example = "'objective=[maximize fit.val/accuracy]'"
            raise ConfigurationError(t("cli.no_objective", example=example))
        objective = dict(map(named_direction, config.objective))
        settings: Any = OmegaConf.to_container(OmegaConf.create(self.settings), resolve=True)
        if prunes(settings) and not (len(objective) == 1 and next(iter(objective))[:4] == "fit."):
            raise ConfigurationError(t("cli.prune_by_one", objective=", ".join(objective)))
        launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )
        try:  # Hydra loads every plug-in at every start, and Optuna is heavy.
            from spikeformer.cli.study import Search
        except ModuleNotFoundError as error:
            command = 'pip install "spikeformer[sweeps]"'
            raise MissingDependencyError(t("cli.needs_extra", command=command)) from error
        self._search = Search(objective, launcher, Path(config.hydra.sweep.dir), settings)

    def sweep(self, arguments: list[str]) -> None:
        """Search with these overrides."""
        assert self._search is not None, "Hydra calls setup first"
        self._search.run(arguments)


def prunes(settings: Any) -> bool:
    """Tell whether a search gives up trials that fall behind."""
    return not str(settings["pruner"]["_target_"]).endswith(".NopPruner")


def named_direction(item: str) -> tuple[str, str]:
    """Return number and direction of "maximize fit.val/accuracy".

    Raises:
        ArgumentError: It says neither "maximize" nor "minimize", or names no stage.
    """
    direction, _, name = item.partition(" ")
    if direction not in ("maximize", "minimize") or "." not in name:
        raise ArgumentError("objective", item, t("cli.named_direction"))
    return name.strip(), direction
