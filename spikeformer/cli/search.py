"""The sweeper behind `hydra/sweeper=optuna`: a search that can be killed and resumed."""

from __future__ import annotations

import os
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from spikeformer.error_handling import ArgumentError, ConfigurationError
from spikeformer.i18n import t


class OptunaSearch(Sweeper):
    """Searches with Optuna and goes on where a killed search was.

    Finished trials are read from the storage and count as done. Trials that were cut short are
    continued in their own folders, from their checkpoints. What to improve is the configuration's
    `objective`; it decides the directions.

    Args:
        **settings: Arguments of Hydra's own sweeper for Optuna.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.sweeper: Sweeper | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Make the launcher and open the study.

        Raises:
            ConfigurationError: There is no objective.
            ArgumentError: It does not say "maximize" or "minimize".
        """
        if not config.objective:
            example = "'objective=[maximize fit.val/accuracy]'"
            raise ConfigurationError(t("cli.no_objective", example=example))
        objective = dict(map(_named_direction, config.objective))
        # SQLAlchemy 1.4 warns of version 2, with which this Optuna does not work.
        os.environ.setdefault("SQLALCHEMY_SILENCE_UBER_WARNING", "1")
        # Hydra loads every plug-in at every start, and Optuna is heavy.
        from spikeformer.cli._study import StudySweeper

        self.sweeper = StudySweeper(objective, **self.settings)
        self.sweeper.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> None:
        """Search with these overrides."""
        assert self.sweeper is not None, "Hydra calls setup first"
        self.sweeper.sweep(arguments)


def _named_direction(item: str) -> tuple[str, str]:
    """Return number and direction of "maximize fit.val/accuracy"."""
    direction, _, name = item.partition(" ")
    if direction not in ("maximize", "minimize") or "." not in name:
        raise ArgumentError("objective", item, t("cli.named_direction"))
    return name.strip(), direction
