"""Where in a network an operation happens: what its counter has to know beside its operands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spikeformer.neurons import SpikingNeuron
from spikeformer.profiling.counting.contents import Contents, contents


@dataclass
class NetworkFacts:
    """What is known of a network.

    Attributes:
        names: Name of every module, by its identity.
        timesteps: Timesteps that it simulates at once, as it says or as its neurons show.
        spiking: Whether it has spiking neurons.
        levels: Levels of those that fire fractions.
        parameters: Addresses of its parameters in memory.
    """

    names: dict[int, str]
    timesteps: int
    spiking: bool
    levels: tuple[int, ...]
    parameters: frozenset[int]

    @classmethod
    def of(cls, model: nn.Module) -> NetworkFacts:
        """Look through a model."""
        modules = dict(model.named_modules())
        counts = (getattr(module, "timesteps", None) for module in modules.values())
        neurons = [module for module in modules.values() if isinstance(module, SpikingNeuron)]
        levels = (getattr(neuron, "max_spikes", None) for neuron in neurons)
        return cls(
            names={id(module): name for name, module in modules.items()},
            timesteps=next((t for t in counts if isinstance(t, int)), 1),
            spiking=bool(neurons),
            levels=tuple({n for n in levels if isinstance(n, int)}),
            parameters=frozenset(p.untyped_storage().data_ptr() for p in model.parameters()),
        )

    def guess_timesteps(self, shape: tuple[int, ...]) -> None:
        """Take the time axis of an input (batch, timesteps, features) for what it looks like.

        Neurons show the timesteps of a network that does not say them; layers may come first.
        """
        if self.spiking and self.timesteps == 1 and len(shape) == 3:
            self.timesteps = shape[1]


class CountedSpikes(NamedTuple):
    """Spikes that were counted when they were fired, for the layer that they go to."""

    address: int
    size: int
    timeline: list[float]
    spikes: Tensor  # as long as they are held, nothing else can lie at their address


@dataclass(slots=True)
class Scene:
    """An operation's surroundings.

    Attributes:
        layer: Name of the innermost module at work.
        kind: What sort of layer that is.
        network: The network it belongs to.
        batch: Samples in this call of the network.
        shape: Shape of what came into the innermost module.
        fired: What a neuron fired last.
    """

    layer: str
    kind: str
    network: NetworkFacts
    batch: int
    shape: tuple[int, ...]
    fired: CountedSpikes | None = None

    def steps(self, rows: int) -> int:
        """Return how many timesteps an operand with so many rows in front has: all or one."""
        timesteps = self.network.timesteps
        if timesteps == 1 or rows % (self.batch * timesteps):
            return 1
        if self.kind in ("linear", "conv"):
            flat = self.shape[:1] == (self.batch * timesteps,)
            apart = len(self.shape) > 2 and self.shape[:2] == (self.batch, timesteps)
            return timesteps if flat or apart else 1
        return timesteps

    def by_step(self, rows: Tensor, steps: int) -> list[float]:
        """Sum a tensor whose rows are samples times timesteps (times others) for each timestep."""
        fired = self.fired
        if fired is not None and fired.address == rows.data_ptr() and fired.size == rows.numel():
            return fired.timeline if steps > 1 else [sum(fired.timeline)]
        return over_time(rows.reshape(self.batch if steps > 1 else 1, steps, -1))

    def contents(self, x: Tensor) -> Contents:
        """Look at the values of an operand."""
        return contents(x, spiking=self.network.spiking, levels=self.network.levels)

    def is_parameter(self, x: Tensor) -> bool:
        """Whether a tensor is a parameter of the network, or a view of one."""
        return x.untyped_storage().data_ptr() in self.network.parameters


def over_time(x: Tensor) -> list[float]:
    """Sum (samples, timesteps, ...) for each timestep."""
    sums: list[float]
    features = tuple(range(2, x.dim()))
    if x.numel() < _EXACT or not features:
        sums = x.sum((0, *features), dtype=torch.float32).tolist()
    else:
        sums = x.sum(features, dtype=torch.float32).sum(0, dtype=torch.float64).tolist()
    return sums


# Sums of so many spikes are exact in float32, even of a few spikes at once.
_EXACT = 1 << 21
