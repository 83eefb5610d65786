"""What SpikeFormer's trainers do otherwise than Lightning's."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins import CheckpointIO, LayerSync, TorchCheckpointIO
from torch import nn

from spikeformer.files import replacing
from spikeformer.models import share_batch_norms


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside the one before, and puts it in its place when it is complete.

    Lightning writes to the system's temporary folder and copies from there; a run that is killed
    meanwhile would leave half a checkpoint.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Save to a file of this machine; other places are left to Lightning."""
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        content = io.BytesIO()  # torch's writer would hide what the disk says
        torch.save(checkpoint, content)
        with replacing(Path(path)) as temporary, temporary.open("wb") as stream:
            stream.write(content.getbuffer())
            stream.flush()
            os.fsync(stream.fileno())


class SharedBatchNorms(LayerSync):
    """Lets batch norms take their statistics over all processes: `trainer.sync_batchnorm=true`.

    In place of Lightning's plugin, which knows neither time axes nor CPUs.
    """

    def apply(self, model: nn.Module) -> nn.Module:
        """Share the statistics while training."""
        share_batch_norms(model)
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Share them no longer."""
        share_batch_norms(model, False)
        return model


def make_trainer(
    factory: Callable[..., L.Trainer] = L.Trainer,
    *,
    share_norms: bool = False,
    plugins: Sequence[Any] | Any = (),
    **options: Any,
) -> L.Trainer:
    """Return a Lightning trainer with SpikeFormer's plugins.

    Args:
        factory: Makes the trainer from its options, as `instantiate` does from a configuration.
        share_norms: Let batch norms take their statistics over all processes.
        plugins: Plugins of your own; one that writes checkpoints takes the place of ours.
        **options: Further arguments of `lightning.Trainer`.
    """
    own = list(plugins) if isinstance(plugins, list | tuple) else [plugins]
    if not any(isinstance(plugin, CheckpointIO) for plugin in own):
        own.append(WholeCheckpoints())
    if share_norms:
        own.append(SharedBatchNorms())
    return factory(plugins=own, **options)


def single_device_trainer(settings: Mapping[str, Any], **options: Any) -> L.Trainer:
    """Return a trainer that works quietly on one device: several would count padded samples twice.

    Args:
        settings: The run's group `trainer`: its accelerator and precision are taken.
        **options: Further arguments of `lightning.Trainer`.
    """
    return make_trainer(
        accelerator=settings["accelerator"],
        devices=1,
        precision=settings["precision"],
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        **options,
    )
