"""Gives every epoch its own random stream."""

from __future__ import annotations

import random

import lightning as L
import numpy as np
import torch


class EpochSeed(L.Callback):
    """Seeds torch, NumPy and Python anew at the start of each training epoch.

    What an epoch draws then depends on the seed, the epoch and the rank alone, so a resumed run
    repeats the uninterrupted one without generator states in its checkpoints.

    Args:
        seed: The run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Seed the epoch's stream."""
        key = np.random.SeedSequence([self.seed, trainer.current_epoch, trainer.global_rank])
        torch_seed, numpy_seed, python_seed = (int(word) for word in key.generate_state(3))
        torch.manual_seed(torch_seed)
        np.random.seed(numpy_seed)  # noqa: NPY002 - libraries draw from the legacy stream
        random.seed(python_seed)
