"""What of a run the platform chooses: keys that say `auto`, and the reasons for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import lightning as L
import torch
from omegaconf import DictConfig

from spikeformer.cross_platform import AUTO, GIB, Choice, choose, get_platform_info
from spikeformer.data import SpikingDataModule
from spikeformer.i18n import t
from spikeformer.ops import resolve_backend
from spikeformer.pipeline.ranks import announce
from spikeformer.training.memory import step_bytes

if TYPE_CHECKING:
    from spikeformer.pipeline.run import Run

_SHARE = 0.8
"""Part of the free memory that a training step may take."""


def resolve_trainer(config: DictConfig) -> list[Choice]:
    """Replace what says `auto` in the group `trainer` by what the platform chooses.

    Into how many parts a batch is divided is known once the network is there, see `divide_batch`.
    """
    trainer = config.trainer
    left = {key: trainer[key] for key in ("accelerator", "precision") if trainer[key] == AUTO}
    choices = choose({"accelerator": trainer.accelerator, **left}, get_platform_info())
    for choice in choices:
        trainer[choice.key] = choice.value
    return [Choice(f"trainer.{c.key}", c.value, c.reason) for c in choices]


def divide_batch(run: Run) -> None:
    """Divide the batch where `trainer.accumulate_grad_batches` says `auto` and memory is short.

    The parts' gradients add up to that of the whole batch; only batch norm sees the parts.
    """
    trainer, data = run.parts.trainer, run.parts.data
    if run.config.trainer.accumulate_grad_batches != AUTO:
        return
    inputs, _ = next(iter(data.train_dataloader()))
    device = trainer.strategy.root_device
    needed, free = step_bytes(run.parts.module.net, inputs, data.batch_size), _free(trainer)
    parts = 1 if free is None else min(math.ceil(needed / (_SHARE * free)), data.batch_size)
    takes = {"needed": needed / GIB, "device": device.type}
    reason = t("pipeline.step_memory", **takes)
    if free is not None:
        reason = t("pipeline.step_memory_free", **takes, free=free / GIB)
    trainer.accumulate_grad_batches = run.config.trainer.accumulate_grad_batches = parts
    data.batch_size = math.ceil(data.batch_size / parts)
    announce_choice(Choice("trainer.accumulate_grad_batches", parts, reason))


def data_choices(config: DictConfig, data: SpikingDataModule, trainer: L.Trainer) -> list[Choice]:
    """Return how data are loaded and which kernels run, where the platform chose."""
    choices = []
    if data.num_workers is None:
        workers = data.workers_for(data.splits.train)
        cores = get_platform_info().cores
        reason = t("pipeline.samples_in_memory")
        if workers:
            reason = t("pipeline.cores_decode", count=cores)
        choices.append(Choice("data.num_workers", workers, reason))
    if config.ops == AUTO:
        device = trainer.strategy.root_device
        reason = t("pipeline.fastest_kernels", device=device.type)
        choices.append(Choice("ops", resolve_backend(AUTO, device, op="lif"), reason))
    return choices


def announce_choice(choice: Choice) -> None:
    """Print what the platform chose, and why."""
    announce("platform", str(choice))


def _free(trainer: L.Trainer) -> int | None:
    """Return the memory for one process of the run."""
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    available = get_platform_info().available_bytes
    return None if available is None else available // trainer.num_devices
