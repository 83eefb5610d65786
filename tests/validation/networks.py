"""Small networks to plant faults in."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from spikeformer.models import ClassificationHead, SpikingAttention, SpikingNetwork, SpikingViT
from spikeformer.models.mechanisms import QKTokenAttention
from spikeformer.neurons import LifNeuron

HARD = partial(LifNeuron, tau_mem=2.0, reset="zero", surrogate_type="sigmoid")


def vit(**changes: Any) -> SpikingNetwork:
    """A healthy spiking ViT for images of (1, 8, 8), which any chip can run."""
    options: dict[str, Any] = {
        "d_model": 16,
        "nhead": 2,
        "num_layers": 1,
        "neuron": HARD,
        "attention": partial(SpikingAttention, mechanism=QKTokenAttention),
    }
    torch.manual_seed(0)
    backbone = SpikingViT(1, 8, **{**options, **changes})
    return SpikingNetwork(backbone, ClassificationHead(16, 10))


def chain(features: int = 16, neuron: Any = HARD) -> nn.Sequential:
    """A healthy chain of two layers for signals of (timesteps, 4)."""
    torch.manual_seed(0)
    first, last = nn.Linear(4, features), nn.Linear(features, 3)
    nn.init.uniform_(first.weight, -1, 1.5)
    return nn.Sequential(first, neuron(threshold=1.0), last)


class OverTime(nn.Module):
    """Averages over time."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=1)


def silence(module: Any) -> None:
    """Make a layer's output far below every threshold."""
    with torch.no_grad():
        module.bias.fill_(-100.0)
