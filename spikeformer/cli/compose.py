"""The configuration without the command line, for notebooks and tests."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

import spikeformer.config.schema
import spikeformer.hardware.targets.schemas  # noqa: F401 - registers those of the targets
from spikeformer.cli.resolvers import config_folder, register_resolvers


def compose(*overrides: str) -> DictConfig:
    """Compose the configuration that `python train.py` would run with.

    Args:
        *overrides: As on the command line: "model.d_model=64", "neuron=plif".

    Example:
        >>> compose("neuron=plif", "timesteps=8").model.timesteps
        8
    """
    register_resolvers()
    with hydra.initialize_config_dir(config_folder(), version_base="1.3"):
        return hydra.compose("train", overrides=list(overrides))
