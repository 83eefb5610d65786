"""SpikingJelly's Spikformer, trained on batches that another process hands over.

Started as `python -m bench.training.spikformer ADDRESS` by `baseline.py`, with the interpreter of
SpikingJelly's environment. A message is (name of a method of `Session`, arguments).
"""

from __future__ import annotations

import sys
from multiprocessing.connection import Client
from typing import Any

import numpy as np
import torch
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.model import spikformer
from torch import Tensor, nn
from torch.nn import functional as F


class TextSpikformer(nn.Module):
    """Spikformer's blocks over tokens: an embedding that fires takes the place of its stem.

    The blocks know no mask: padding is silent where it enters and is left out of the mean over
    tokens, but the batch norms between see it.
    """

    def __init__(
        self, vocab_size: int, max_length: int, num_classes: int, timesteps: int, width: int,
        heads: int, depth: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.timesteps = timesteps
        self.tokens = nn.Embedding(vocab_size, width)
        self.positions = nn.Embedding(max_length, width)
        for embedding in (self.tokens, self.positions):  # as ours
            nn.init.normal_(embedding.weight, std=0.02)
        self.norm = nn.BatchNorm1d(width)
        self.neuron = neuron.LIFNode(tau=2.0, detach_reset=True, step_mode="m")
        self.blocks = nn.ModuleList(spikformer.SpikformerBlock(width, heads) for _ in range(depth))
        self.head = layer.Linear(width, num_classes, step_mode="m")

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Map token ids and their mask, (batch, tokens), to logits (timesteps, batch, classes)."""
        positions = torch.arange(input_ids.shape[1])
        embedded = self.norm((self.tokens(input_ids) + self.positions(positions)).transpose(1, 2))
        current = embedded * mask[:, None]
        spikes = self.neuron(current.expand(self.timesteps, *current.shape)).unsqueeze(3)
        for block in self.blocks:
            spikes = block(spikes)
        share = mask / mask.sum(1, keepdim=True)
        return self.head((spikes.squeeze(3) * share[:, None]).sum(-1))


class LineNetwork(nn.Module):
    """Two layers of LIF neurons for spikes of a line of channels, recurrent or not.

    Args:
        channels: Of the input.
        width: Neurons of a layer.
        num_classes: Number of classes.
        recurrent: Whether the neurons of a layer are connected.
        tau: Of SpikingJelly's neuron: v[t] = (1 - 1 / tau) v[t-1] + I[t].
        dropout: Between the layers.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        num_classes: int,
        recurrent: bool,
        tau: float,
        dropout: float,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before in (channels, width):
            options = {"tau": tau, "decay_input": False, "detach_reset": True}
            if recurrent:
                cell = neuron.LIFNode(**options, step_mode="s")
                firing = layer.LinearRecurrentContainer(cell, width, width, False, step_mode="m")
            else:
                firing = neuron.LIFNode(**options, step_mode="m")
            layers += [
                layer.Dropout(dropout, step_mode="m"),
                layer.Linear(before, width, bias=False, step_mode="m"),
                layer.SeqToANNContainer(nn.BatchNorm1d(width)),
                firing,
            ]
        self.layers = nn.Sequential(*layers, layer.Linear(width, num_classes, step_mode="m"))

    def forward(self, events: Tensor) -> Tensor:
        """Map (timesteps, batch, 1, 1, channels) to logits, (timesteps, batch, classes)."""
        return self.layers(events.flatten(2))


def build(options: dict[str, Any]) -> nn.Module:
    """Return the network: for images SpikingJelly's own, for text its blocks."""
    if "line" in options:
        return LineNetwork(**options["line"])
    width, heads, depth = options["width"], options["heads"], options["depth"]
    classes, timesteps = options["num_classes"], options["timesteps"]
    if "vocab_size" in options:
        vocab_size, max_length = options["vocab_size"], options["max_length"]
        return TextSpikformer(vocab_size, max_length, classes, timesteps, width, heads, depth)
    height, breadth = options["image_size"]
    return spikformer.Spikformer(
        T=timesteps,
        img_size_h=height,
        img_size_w=breadth,
        patch_size=options["patch"],
        in_channels=options["in_channels"],
        num_classes=classes,
        embed_dims=width,
        num_heads=heads,
        depths=depth,
    )


class Session:
    """The network and its optimizer between messages."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    settings: dict[str, Any]

    def prepare(self, settings: dict[str, Any]) -> int:
        """Build the network; return how many parameters it has."""
        torch.set_num_threads(settings["threads"])
        torch.manual_seed(settings["seed"])
        self.settings, self.model = settings, build(settings["network"])
        parameters = list(self.model.parameters())
        groups = [
            {"params": [p for p in parameters if p.ndim >= 2]},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=settings["weight_decay"])
        return sum(p.numel() for p in parameters)

    def train(self, inputs: dict[str, np.ndarray], target: np.ndarray, lr: float) -> float:
        """Take one step with this learning rate; return the loss."""
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        smoothing = self.settings["label_smoothing"]
        loss = F.cross_entropy(
            self._logits(inputs), torch.from_numpy(target), label_smoothing=smoothing
        )
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.settings["gradient_clip_val"])
        self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def test(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Return the class of each sample."""
        self.model.eval()
        return self._logits(inputs).argmax(1).numpy()

    @torch.no_grad()
    def outputs(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Return the outputs of all timesteps, (batch, timesteps, classes)."""
        self.model.eval()
        return self._outputs(inputs).transpose(0, 1).numpy()

    def _logits(self, inputs: dict[str, np.ndarray]) -> Tensor:
        """Mean over time, (batch, classes)."""
        return self._outputs(inputs).mean(0)

    def _outputs(self, inputs: dict[str, np.ndarray]) -> Tensor:
        """Outputs of all timesteps, (timesteps, batch, classes), from a state of rest."""
        functional.reset_net(self.model)
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        images = tensors.pop("images", None)
        if images is None:
            return self.model(**tensors)
        return self.model(images.transpose(0, 1) if images.ndim == 5 else images)


def main() -> None:
    session = Session()
    with Client(sys.argv[1]) as connection:
        while (message := connection.recv()) is not None:
            method, arguments = message
            connection.send(getattr(session, method)(*arguments))


if __name__ == "__main__":
    main()
