"""The callbacks that a configuration names, fitted to its run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from omegaconf import DictConfig

from spikeformer.config import instantiate
from spikeformer.data import SpikingDataModule
from spikeformer.error_handling import ConfigurationError
from spikeformer.i18n import t
from spikeformer.runs import RunFolder
from spikeformer.training import SpikingModule


def build_callbacks(
    config: DictConfig,
    folder: Path,
    module: SpikingModule,
    data: SpikingDataModule,
    *,
    logged: bool,
) -> list[L.Callback]:
    """Create the callbacks of the groups `callbacks` and `regularizer`.

    Args:
        config: The composed configuration.
        folder: The run folder, for checkpoints.
        module: What is trained; its task has a metric to choose the best checkpoint by.
        data: The data, set up.
        logged: Whether there is a logger.
    """
    callbacks = build_many(config, "callbacks", L.Callback)
    if config.regularizer:
        trusted = config.trusted_packages
        callbacks.append(instantiate(config.regularizer, L.Callback, trusted=trusted))
    if not logged:  # Lightning refuses to monitor what nobody records.
        callbacks = [c for c in callbacks if not isinstance(c, LearningRateMonitor)]
    validates = data.splits.val is not None and config.trainer.limit_val_batches != 0
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint):
            keep_checkpoints(callback, module, folder, validates=validates)
        watched = getattr(callback, "monitor", None)
        if not validates and isinstance(watched, str) and watched.startswith("val/"):
            name = type(callback).__name__
            raise ConfigurationError(t("pipeline.watches_nothing", callback=name, metric=watched))
    return callbacks


def build_many(config: DictConfig, group: str, kind: Any) -> list[Any]:
    """Create every member of a group whose members are named, all of one kind."""
    members = {key: member for key, member in (config[group] or {}).items() if member is not None}
    for name, member in members.items():
        if "_target_" not in member:
            raise ConfigurationError(t("pipeline.no_target", group=group, name=name))
    return [
        instantiate(member, kind, trusted=config.trusted_packages) for member in members.values()
    ]


def keep_checkpoints(
    callback: ModelCheckpoint, module: SpikingModule, folder: Path, *, validates: bool
) -> None:
    """Point a checkpoint callback to the run folder and, by default, to the task's own metric."""
    if callback.dirpath is None:
        callback.dirpath = str(RunFolder(folder).checkpoint("last").parent.absolute())
    if callback.monitor is None and validates:
        callback.monitor, callback.mode = module.monitor, module.monitor_mode
        callback.kth_value = torch.tensor(torch.inf if callback.mode == "min" else -torch.inf)
