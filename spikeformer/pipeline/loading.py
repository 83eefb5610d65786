"""A finished run, back in a notebook."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from spikeformer.config import read_config
from spikeformer.error_handling import ConfigurationError, check_choice
from spikeformer.i18n import t
from spikeformer.pipeline.build import build_network, load_weights
from spikeformer.pipeline.manifest import Manifest
from spikeformer.reporting import RunResults, load_results
from spikeformer.training import TrainingHistory


@dataclass
class LoadedRun:
    """A run folder in memory.

    Attributes:
        folder: The run folder.
        config: The configuration it was made with.
        model: The network with its trained weights, in evaluation mode.
        results: What its test measured.
        history: What happened in each epoch.
        manifest: Its stages.
    """

    folder: Path
    config: DictConfig
    model: nn.Module
    results: RunResults
    history: TrainingHistory
    manifest: Manifest


def load_run(
    path: str | Path, weights: str = "last", *, trusted: Collection[str] = ()
) -> LoadedRun:
    """Load what `python train.py` left in a run folder.

    Args:
        path: The run folder.
        weights: "last" or "best".
        trusted: Packages of your own that the run's configuration may name. What the folder itself
            says of trust does not count: it may be a stranger's.

    Raises:
        ConfigurationError: The folder holds no run, or the run has no such checkpoint.

    Example:
        >>> run = load_run("outputs/2026-01-31/12-00-00-run")  # doctest: +SKIP
        >>> run.model(images).mean(dim=1).argmax(dim=-1)       # doctest: +SKIP
    """
    folder = Path(path)
    check_choice("weights", weights, ("last", "best"))
    if not (folder / "config.yaml").is_file():
        raise ConfigurationError(t("pipeline.no_run_folder", folder=folder))
    config = read_config(folder / "config.yaml")
    config.trusted_packages = list(trusted)
    try:
        model = build_network(config)
    except OmegaConfBaseException as error:
        reason = str(error).partition("\n")[0]
        raise ConfigurationError(f"{folder / 'config.yaml'}: {reason}") from error
    load_weights(model, folder / "checkpoints" / f"{weights}.ckpt")
    return LoadedRun(
        folder,
        config,
        model.eval(),
        load_results(folder),
        _read_history(folder / "metrics.csv"),
        Manifest.open(folder, config.name),
    )


def _read_history(path: Path) -> TrainingHistory:
    if not path.is_file():
        return TrainingHistory()
    records: list[Any] = pd.read_csv(path).to_dict("records")
    return TrainingHistory(records)
