"""Small networks and data that train in a second, and trainers that leave nothing behind."""

from __future__ import annotations

from functools import partial

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from spikeformer.neurons import LifNeuron
from spikeformer.training import ClassificationModule, SpikingTrainer

QUIET = {
    "accelerator": "cpu",
    "devices": 1,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "logger": False,
}


class ToyNet(nn.Module):
    """Dense, LIF, dropout, dense: (batch, features) to (batch, timesteps, outputs)."""

    def __init__(self, features=4, outputs=2, timesteps=4, hidden=16, dropout=0.0, threshold=1.0):
        super().__init__()
        self.timesteps = timesteps
        self.embed = nn.Linear(features, hidden)
        self.neuron = LifNeuron(threshold, tau_mem=2.0, surrogate_type="atan")
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(hidden, outputs)

    def forward(self, x):
        current = self.embed(x).unsqueeze(1).expand(-1, self.timesteps, -1)
        return self.readout(self.dropout(self.neuron(current)))


def toy_net(**arguments):
    torch.manual_seed(0)
    return ToyNet(**arguments)


def separable(samples=64, seed=0):
    """Two classes that a line through the origin tells apart, with room between."""
    x = torch.randn(samples, 4, generator=torch.Generator().manual_seed(seed))
    y = (x[:, 0] + x[:, 1] > 0).long()
    x[:, :2] += (2 * y - 1).unsqueeze(1)
    return x, y


def loader(x, y, batch_size=16, shuffle=False):
    return DataLoader(TensorDataset(x, y), batch_size, shuffle=shuffle)


def toy_loaders(shuffle=False):
    return loader(*separable(), shuffle=shuffle), loader(*separable(32, seed=1))


def module(net=None, loss="cross_entropy", kind=ClassificationModule, lr=1e-2, **arguments):
    from spikeformer.training import get_loss

    optimizer = partial(torch.optim.AdamW, lr=lr)
    return kind(net or toy_net(), get_loss(loss), optimizer, **arguments)


def lightning_trainer(**options):
    defaults = {"enable_checkpointing": False, "num_sanity_val_steps": 0, "max_epochs": 1}
    return L.Trainer(**{**QUIET, **defaults, **options})


def spiking_trainer(net=None, **options):
    return SpikingTrainer(net or toy_net(), **{"learning_rate": 1e-2, **QUIET, **options})


def num_hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


class Interrupt(L.Callback):
    """Fails in the middle of a training batch or of validation."""

    def __init__(self, where="train"):
        self.where = where

    def on_before_backward(self, *args):
        if self.where == "train":
            raise RuntimeError("interrupted")

    def on_validation_batch_start(self, *args):
        if self.where == "val":
            raise RuntimeError("interrupted")
