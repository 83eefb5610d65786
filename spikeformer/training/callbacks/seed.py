"""Gives every epoch its own random stream."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any, cast

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
        _restart_shuffling(trainer)


def _restart_shuffling(trainer: L.Trainer) -> None:
    """Let the first epoch of a fit shuffle as all later ones do.

    Lightning makes that epoch's iterator before `on_train_epoch_start`. A loader without a
    generator of its own would draw from what came before; one with workers has begun to fetch in
    the order of epoch 0, if the optimizer's schedule wanted its length before a checkpoint told the
    epoch.
    """
    loop = trainer.fit_loop
    first = trainer.current_epoch == 0 or loop.is_resuming or loop.epoch_loop.restarting
    loaders = loop._combined_loader.flattened if loop._combined_loader is not None else []
    if first and any(map(_begun_too_early, loaders)):
        iter(cast(Iterable[Any], loop._data_fetcher))


def _begun_too_early(loader: Any) -> bool:
    stale: bool = getattr(getattr(loader, "sampler", None), "is_stale", False)
    return stale or getattr(loader, "generator", 0) is None
