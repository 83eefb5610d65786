from __future__ import annotations

import random

import lightning as L
import numpy as np
import pytest
import torch

from spikeformer.training.callbacks import EpochSeed
from tests.training.toys import lightning_trainer, loader, module, separable, toy_net


class Draws(L.Callback):
    """What each epoch draws, and the order of its first batch."""

    def __init__(self):
        self.epochs = {}

    def on_train_epoch_start(self, trainer, pl_module):
        # Uses up a different number of draws in every run, before training batches.
        self.epochs[trainer.current_epoch] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.epochs[trainer.current_epoch].append(batch[0].sum(1).tolist())

    def on_train_epoch_end(self, trainer, pl_module):
        draws = [torch.rand(()).item(), np.random.rand(), random.random()]  # noqa: NPY002
        self.epochs[trainer.current_epoch].append(draws)


def epochs_of(seed, max_epochs=3, ckpt_path=None, history=0, workers=0):
    task = module(toy_net(dropout=0.5))
    torch.manual_seed(history)  # what came before must not matter
    data = loader(*separable(), shuffle=True)
    if workers:
        data = torch.utils.data.DataLoader(data.dataset, 16, shuffle=True, num_workers=workers)
    draws = Draws()
    trainer = lightning_trainer(max_epochs=max_epochs, callbacks=[EpochSeed(seed), draws])
    trainer.fit(task, data, loader(*separable(8)), ckpt_path=ckpt_path)
    return draws.epochs, trainer


def test_epoch_seed_epochs_do_not_depend_on_what_came_before():
    first, _ = epochs_of(3, history=1)
    second, _ = epochs_of(3, history=2)
    assert first == second
    assert first[0] != first[1] != first[2]
    assert epochs_of(4, history=1)[0][0] != first[0]


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_epoch_seed_resumed_run_draws_what_the_whole_one_does(tmp_path, workers):
    whole, _ = epochs_of(3, max_epochs=4, workers=workers)
    _, trainer = epochs_of(3, max_epochs=2, history=1, workers=workers)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed, _ = epochs_of(3, 4, str(tmp_path / "last.ckpt"), history=2, workers=workers)
    assert resumed == {epoch: whole[epoch] for epoch in (2, 3)}


def test_epoch_seed_gives_every_rank_a_stream_of_its_own(monkeypatch):
    """Torch, NumPy and Python each: equal dropout on two ranks would halve its use."""

    def draws(rank):
        monkeypatch.setattr(L.Trainer, "global_rank", property(lambda self: rank))
        epochs, _ = epochs_of(3, max_epochs=1)
        return epochs[0][-1]

    first, second = draws(0), draws(1)
    assert all(one != other for one, other in zip(first, second, strict=True))
    assert draws(0) == first
