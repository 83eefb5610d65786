"""How fast a network trains, and what memory that takes."""

from __future__ import annotations

import sys
import time
from typing import Any

import lightning as L
import psutil
import torch

from spikeformer.data.batch import split

_MIB = 2**20


class SpeedMonitor(L.Callback):
    """Logs throughput, step time and peak memory of each epoch, validation left out.

    - `speed/samples_per_second`: training samples of all processes per second of training, waiting
      for data included;
    - `speed/step_ms`: time of a training batch, in ms, the epoch's mean;
    - `speed/gpu_memory_mib`: on a GPU, the most memory that tensors took in this epoch;
    - `speed/process_memory_mib`: elsewhere, the most memory that the process has had so far, with
      Python, libraries and data.
    """

    def __init__(self) -> None:
        self._start = self._validation = self._paused = 0.0
        self._samples = self._steps = 0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._samples = self._steps = 0
        self._paused = 0.0
        if pl_module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(pl_module.device)
        self._start = _now(pl_module.device)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count a batch."""
        self._samples += split(batch)[1].shape[0]
        self._steps += 1

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock."""
        self._validation = _now(pl_module.device)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let the clock go on."""
        self._paused += _now(pl_module.device) - self._validation

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the epoch's numbers."""
        if not self._steps:
            return
        seconds = _now(pl_module.device) - self._start - self._paused
        numbers = {
            "speed/samples_per_second": trainer.world_size * self._samples / seconds,
            "speed/step_ms": 1e3 * seconds / self._steps,
            **_memory(pl_module.device),
        }
        pl_module.log_dict(numbers, on_step=False, on_epoch=True, sync_dist=True)


def _now(device: torch.device) -> float:
    """Return the time when the device has done what it was given, in seconds."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _memory(device: torch.device) -> dict[str, float]:
    if device.type == "cuda":
        return {"speed/gpu_memory_mib": torch.cuda.max_memory_allocated(device) / _MIB}
    if sys.platform == "win32":
        return {"speed/process_memory_mib": psutil.Process().memory_info().peak_wset / _MIB}
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB on Linux
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"speed/process_memory_mib": peak * unit / _MIB}
