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
from spikeformer.conversion import load_converted
from spikeformer.error_handling import ConfigurationError, check_choice
from spikeformer.i18n import t
from spikeformer.runs.layout import RunFolder
from spikeformer.runs.manifest import Manifest
from spikeformer.runs.network import build_network, load_weights
from spikeformer.runs.results import RunResults, load_results
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
    """Load what `python train.py` left in a run folder, of whatever kind the run is.

    The network is the one that the run trained, or converted, or else that of the checkpoint which
    it was given.

    Args:
        path: The run folder.
        weights: "last" or "best", of a run that trained.
        trusted: Packages of your own that the run's configuration may name. What the folder itself
            says of trust does not count: it may be a stranger's.

    Raises:
        ConfigurationError: The folder holds no run, or is that of a sweep, whose runs lie in it;
            or the weights are absent. The message names what is missing.

    Example:
        >>> run = load_run("outputs/2026-01-31/12-00-00-run")  # doctest: +SKIP
        >>> run.model(images).mean(dim=1).argmax(dim=-1)       # doctest: +SKIP
    """
    files = RunFolder(Path(path))
    check_choice("weights", weights, ("last", "best"))
    if not files.config.is_file():
        if files.sweep.is_file():
            inside = ", ".join(
                sorted(child.parent.name for child in files.path.glob("*/config.yaml"))
            )
            raise ConfigurationError(t("pipeline.is_sweep", folder=files.path, runs=inside))
        raise ConfigurationError(t("pipeline.no_run_folder", folder=files.path))
    config = read_config(files.config)
    config.trusted_packages = list(trusted)
    return LoadedRun(
        files.path,
        config,
        _load_model(files, config, weights).eval(),
        load_results(files.path),
        _read_history(files.history),
        Manifest.open(files.path, config.get("name", files.path.name)),
    )


def _load_model(files: RunFolder, config: DictConfig, weights: str) -> nn.Module:
    if (files.converted / "conversion.json").is_file():
        return load_converted(files.converted)
    checkpoint = files.checkpoint(weights)
    if not checkpoint.parent.is_dir() and config.get("checkpoint"):
        checkpoint = Path(config.checkpoint)
    try:
        model = build_network(config)
    except OmegaConfBaseException as error:
        reason = str(error).partition("\n")[0]
        raise ConfigurationError(f"{files.config}: {reason}") from error
    load_weights(model, checkpoint)
    return model


def _read_history(path: Path) -> TrainingHistory:
    if not path.is_file():
        return TrainingHistory()
    records: list[Any] = pd.read_csv(path).to_dict("records")
    return TrainingHistory(records)
