"""What SpikeFormer's trainers do otherwise than Lightning's."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins import LayerSync, TorchCheckpointIO
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
