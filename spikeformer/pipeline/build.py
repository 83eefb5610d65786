"""From a configuration to the objects that a run needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from spikeformer.compliance import ConsentGate
from spikeformer.config import check_targets, instantiate
from spikeformer.cross_platform import AUTO
from spikeformer.data import SpikingDataModule
from spikeformer.data.batch import first
from spikeformer.error_handling import ConfigurationError, SpikingDynamicsError
from spikeformer.i18n import t
from spikeformer.ops import resolve_backend
from spikeformer.pipeline.caching import RunCaches, make_caches
from spikeformer.pipeline.loggers import wandb_logger
from spikeformer.pipeline.platform import log_choices, resolve_trainer, tell
from spikeformer.pipeline.privacy import consent_watch, set_gate
from spikeformer.pipeline.ranks import SameConfiguration
from spikeformer.profiling import EnergyProfiler
from spikeformer.runs.network import build_network, load_weights
from spikeformer.training import (
    HistoryRecorder,
    SpikingModule,
    make_trainer,
)
from spikeformer.training.callbacks import EpochSeed, StopOnSignal
from spikeformer.training.losses import LOSSES
from spikeformer.training.schedules import cosine_with_warmup


@dataclass
class Components:
    """Everything that a run's stages work with."""

    data: SpikingDataModule
    module: SpikingModule
    trainer: L.Trainer
    loggers: list[Logger]
    history: HistoryRecorder
    caches: RunCaches | None = None
    gate: ConsentGate | None = None


def build(config: DictConfig, folder: Path) -> Components:
    """Create data, network, module, callbacks, loggers and trainer.

    The data is loaded too, so that whatever is wrong with a configuration shows before anything
    is trained or written.

    Args:
        config: The composed configuration, as `conf/train.yaml` lays it out; what says `auto` in
            its group `trainer` is replaced by what the platform chooses.
        folder: The run folder.

    Raises:
        ConfigurationError: A part cannot be made; the message names the key.
        BackendUnavailableError: The profiler's counter cannot be read here.
        DataError: The data is absent, unreadable or not what the configuration says.
    """
    trusted = config.trusted_packages
    check_targets(config, trusted)
    choices = resolve_trainer(config)
    L.seed_everything(config.seed, workers=True, verbose=False)
    module = build_module(config)
    data: SpikingDataModule = instantiate(config.data, SpikingDataModule, trusted=trusted)
    caches = make_caches(config)
    data.cache = None if caches is None else caches.shared.tensors
    gate = set_gate(config, data)
    data.prepare_data()
    data.setup("fit")
    history = HistoryRecorder(folder / "metrics.csv")
    loggers = build_many(config, "logger", (Logger, wandb_logger))
    callbacks = build_many(config, "callbacks", L.Callback)
    if config.regularizer:
        callbacks.append(instantiate(config.regularizer, L.Callback, trusted=trusted))
    if not loggers:  # Lightning refuses to monitor what nobody records.
        callbacks = [c for c in callbacks if not isinstance(c, LearningRateMonitor)]
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint):
            keep_checkpoints(callback, module, folder, validates=data.splits.val is not None)
    divided = config.trainer.accumulate_grad_batches  # `auto` waits for the fit stage
    trainer = make_trainer(
        partial(instantiate, config.trainer, L.Trainer, trusted=trusted),
        share_norms=shares_norms(config),
        logger=loggers or False,
        callbacks=[
            SameConfiguration(config),
            EpochSeed(config.seed),
            history,
            *callbacks,
            *consent_watch(data, folder),
            StopOnSignal(folder / "checkpoints" / "last.ckpt"),
        ],
        sync_batchnorm=False,  # by the plugin
        default_root_dir=str(folder),
        accumulate_grad_batches=1 if divided == AUTO else divided,
    )
    if config.profiler:
        instantiate(config.profiler, EnergyProfiler, trusted=trusted).check_available()
    resolve_backend(config.ops, trainer.strategy.root_device, op="lif")
    if config.checkpoint:
        load_weights(module, Path(config.checkpoint))
    dry_run(module, data)
    for choice in choices:
        tell(choice)
    log_choices(config, data, trainer)
    return Components(data, module, trainer, loggers, history, caches, gate)


def shares_norms(config: DictConfig) -> bool:
    """Whether batch norms shall take their statistics over all processes."""
    return bool(config.trainer.get("sync_batchnorm", False))


def dry_run(module: SpikingModule, data: SpikingDataModule) -> None:
    """Send two samples through network, loss and optimizer, and change nothing by it.

    Raises:
        ConfigurationError: Data, model, task, loss or optimizer do not go together.
    """
    inputs, target = next(iter(data.train_dataloader()))
    few = first(inputs, 2)
    training = module.training
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            outputs = module.task_outputs(module.eval()(few), target[:2])
            loss = module.loss(outputs, target[:2])
            module.update_metrics(module.make_metrics(), outputs, target[:2])
            module.optimizer([nn.Parameter(torch.zeros(1))])
    except (ValueError, TypeError, RuntimeError, IndexError, SpikingDynamicsError) as error:
        raise ConfigurationError(t("pipeline.parts_clash", reason=error)) from error
    finally:
        module.train(training)
    if loss.ndim:
        raise ConfigurationError(t("pipeline.loss_is_no_number", shape=tuple(loss.shape)))


def build_module(config: DictConfig) -> SpikingModule:
    """Create the LightningModule with its network, loss, optimizer and scheduler."""
    trusted = config.trusted_packages
    module: SpikingModule = instantiate(
        config.task.module,
        SpikingModule,
        trusted=trusted,
        net=build_network(config),
        loss=instantiate(config.loss, (nn.Module, *LOSSES.values()), trusted=trusted),
        optimizer=instantiate(config.optimizer, Optimizer, trusted=trusted),
        scheduler=instantiate(
            config.scheduler or None, (LRScheduler, cosine_with_warmup), trusted=trusted
        ),
        sparsity_weight=config.sparsity_weight,
        compile=config.compile,
    )
    return module


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
        callback.dirpath = str((folder / "checkpoints").absolute())
    if callback.monitor is None and validates:
        callback.monitor, callback.mode = module.monitor, module.monitor_mode
        callback.kth_value = torch.tensor(torch.inf if callback.mode == "min" else -torch.inf)
