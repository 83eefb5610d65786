"""From a configuration to the objects that a run needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from spikeformer.config import check_targets, instantiate
from spikeformer.conversion import PretrainedTransformer
from spikeformer.cross_platform import AUTO
from spikeformer.data import SpikingDataModule, TextDataModule
from spikeformer.data.batch import first
from spikeformer.error_handling import (
    BackendUnavailableError,
    ConfigurationError,
    SpikingDynamicsError,
)
from spikeformer.i18n import t
from spikeformer.ops import resolve_backend
from spikeformer.pipeline.callbacks import build_callbacks, build_many
from spikeformer.pipeline.loggers import mlflow_logger, wandb_logger
from spikeformer.pipeline.ranks import announce
from spikeformer.pipeline.services import Services
from spikeformer.profiling import EnergyProfiler
from spikeformer.runs import RunFolder, build_network, load_weights, read_preparation
from spikeformer.training import HistoryRecorder, SpikingModule, make_trainer
from spikeformer.training.callbacks import EpochSeed, StopOnSignal
from spikeformer.training.losses import LOSSES
from spikeformer.training.optimizers import make_optimizer
from spikeformer.training.schedules import SCHEDULES


@dataclass
class Components:
    """Everything that a run's stages work with."""

    data: SpikingDataModule
    module: SpikingModule
    trainer: L.Trainer
    loggers: list[Logger]
    history: HistoryRecorder
    services: Services


def build(
    config: DictConfig, folder: Path, *, trains: bool = True, takes_data: bool = True
) -> Components:
    """Create network, data, loggers, callbacks and trainer, and try them together.

    The data is loaded too, so that whatever is wrong with a configuration shows before anything
    is trained or written.

    Args:
        config: The composed configuration, as `conf/train.yaml` lays it out; what says `auto` in
            its group `trainer` is replaced by what the platform chooses.
        folder: The run folder.
        trains: Whether a stage trains the network.
        takes_data: Whether a stage works on the data; else they need not go with the network.

    Raises:
        ConfigurationError: A part cannot be made; the message names the key.
        BackendUnavailableError: The profiler's counter cannot be read here.
        DataError: The data is absent, unreadable or not what the configuration says.
    """
    check_targets(config, config.trusted_packages)
    check_accelerator(config.trainer.accelerator)
    services = Services(config, folder)
    L.seed_everything(config.seed, workers=True, verbose=False)
    module = build_module(config)
    data = build_data(config, services, trains=trains)
    loggers = build_many(config, "logger", (Logger, mlflow_logger, wandb_logger))
    history = HistoryRecorder(RunFolder(folder).history)
    callbacks = build_callbacks(config, folder, module, data, logged=bool(loggers))
    # The history comes last: it keeps what the others log at the end of an epoch.
    callbacks = services.around([EpochSeed(config.seed), *callbacks, history], data)
    trainer = build_trainer(config, folder, loggers, callbacks)
    check_backends(config, trainer)
    if isinstance(module.net, PretrainedTransformer) and isinstance(data, TextDataModule):
        module.net.check_tokenizer(data.encoder)
    if config.checkpoint:
        load_weights(module, Path(config.checkpoint))
    if takes_data:
        dry_run(module, data)
    services.after_build(data, trainer)
    return Components(data, module, trainer, loggers, history, services)


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
        scheduler=instantiate(config.scheduler or None, (LRScheduler, *SCHEDULES), trusted=trusted),
        sparsity_weight=config.sparsity_weight,
        layer_decay=config.layer_decay,
        compile=config.compile,
        recompute=config.recompute,
    )
    return module


def build_data(config: DictConfig, services: Services, *, trains: bool = True) -> SpikingDataModule:
    """Create and load the data, prepared as those of the checkpoint, and say what was found."""
    data: SpikingDataModule = instantiate(
        config.data, SpikingDataModule, trusted=config.trusted_packages
    )
    services.before_data(data)
    data.prepare_data()
    if config.checkpoint:
        given = read_preparation(Path(config.checkpoint))
        if given is None:
            announce("data", t("pipeline.not_prepared", path=config.checkpoint))
        else:
            data.use(given, trains=trains)
    data.setup("fit")
    announce("data", data.summary())
    if data.given is not None and data.given.class_names not in ([], data.class_names):
        known = ", ".join(data.given.class_names)
        announce("data", t("pipeline.new_classes", known=known))
    return data


def build_trainer(
    config: DictConfig, folder: Path, loggers: list[Logger], callbacks: list[L.Callback]
) -> L.Trainer:
    """Create the trainer of the fit stage, which stops in good order at a signal."""
    if config.trainer.get("enable_progress_bar") is False:  # Lightning refuses a bar beside it
        callbacks = [each for each in callbacks if not isinstance(each, ProgressBar)]
    divided = config.trainer.accumulate_grad_batches  # `auto` waits for the fit stage
    return make_trainer(
        partial(instantiate, config.trainer, L.Trainer, trusted=config.trusted_packages),
        share_norms=bool(config.trainer.get("sync_batchnorm", False)),
        logger=loggers or False,
        callbacks=[*callbacks, StopOnSignal(RunFolder(folder).checkpoint("last"))],
        sync_batchnorm=False,  # by the plugin
        default_root_dir=str(folder),
        accumulate_grad_batches=1 if divided == AUTO else divided,
    )


def check_accelerator(name: str) -> None:
    """Refuse a GPU where there is none, before anything is loaded.

    Raises:
        BackendUnavailableError: One was asked for.
    """
    there = {"cuda": CUDAAccelerator.is_available(), "mps": MPSAccelerator.is_available()}
    there["gpu"] = any(there.values())
    if not there.get(name, True):
        raise BackendUnavailableError(t("pipeline.no_gpu", accelerator=name))


def check_backends(config: DictConfig, trainer: L.Trainer) -> None:
    """Refuse a profiler's counter and kernels that cannot be had here.

    Raises:
        BackendUnavailableError: One was asked for.
    """
    if config.profiler:
        profiler: EnergyProfiler = instantiate(
            config.profiler, EnergyProfiler, trusted=config.trusted_packages
        )
        profiler.check_available()
    resolve_backend(config.ops, trainer.strategy.root_device, op="lif")


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
            make_optimizer(module.optimizer, module.parameters())
    except (ValueError, TypeError, RuntimeError, IndexError, SpikingDynamicsError) as error:
        raise ConfigurationError(t("pipeline.parts_clash", reason=error)) from error
    finally:
        module.train(training)
    if loss.ndim:
        raise ConfigurationError(t("pipeline.loss_is_no_number", shape=tuple(loss.shape)))
