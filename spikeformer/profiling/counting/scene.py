"""Where in a network an operation happens: what its counter has to know beside its operands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spikeformer.encoding import SpikeEncoder
from spikeformer.instrument import neuron_kind
from spikeformer.neurons import CubaLifNeuron, SpikingNeuron
from spikeformer.neurons.integer_lif import is_integer
from spikeformer.profiling.counting.contents import Contents, contents
from spikeformer.profiling.counting.timing import Timing


@dataclass
class NetworkFacts:
    """What is known of a network.

    Attributes:
        names: Name of every module, by its identity.
        timesteps: Timesteps that it says it simulates at once, if all its neurons are ours.
        spiking: Whether it has spiking neurons.
        levels: Levels of those that fire fractions.
        unit_steps: D where all of them are integer neurons with one D; else 1.
        encoded: Whether its input becomes spike trains.
        parameters: Addresses of its parameters in memory.
        lasting: Names of the neurons that remember a current beside what their operation does.
    """

    names: dict[int, str]
    timesteps: int | None
    spiking: bool
    levels: tuple[int, ...]
    unit_steps: int
    encoded: bool
    parameters: frozenset[int]
    lasting: frozenset[str] = frozenset()

    @classmethod
    def of(cls, model: nn.Module) -> NetworkFacts:
        """Look through a model."""
        modules = dict(model.named_modules())
        counts = (getattr(module, "timesteps", None) for module in modules.values())
        neurons = [module for module in modules.values() if neuron_kind(module) is not None]
        own = [neuron for neuron in neurons if isinstance(neuron, SpikingNeuron)]
        ours = len(own) == len(neurons)
        graded = [neuron for neuron in own if is_integer(neuron)]
        levels = {neuron.max_spikes for neuron in graded}
        alike = len(levels) == 1 and len(graded) == len(neurons)
        return cls(
            names={id(module): name for name, module in modules.items()},
            timesteps=next((t for t in counts if isinstance(t, int)), None) if ours else None,
            spiking=bool(neurons),
            levels=tuple(levels),
            unit_steps=levels.copy().pop() if alike else 1,
            encoded=any(isinstance(m, SpikeEncoder) and not m.constant for m in modules.values()),
            parameters=frozenset(p.untyped_storage().data_ptr() for p in model.parameters()),
            lasting=frozenset(n for n, m in modules.items() if isinstance(m, CubaLifNeuron)),
        )


class CountedSpikes(NamedTuple):
    """Spikes that were counted when they were fired, for the layer that they go to.

    Attributes:
        spikes: The spikes (batch, timesteps, ...). As long as they are held, nothing else can lie
            at their address.
        timeline: Their number in each timestep.
        binary: Whether they are 0 or 1.
        unchanged: Whether nothing can have written over them.
    """

    spikes: Tensor
    timeline: list[float]
    binary: bool
    unchanged: bool = True

    def are(self, x: Tensor) -> bool:
        """Whether a tensor is these spikes in the same order, whatever its axes."""
        spikes = self.spikes
        return (
            self.unchanged
            and x.data_ptr() == spikes.data_ptr()
            and x.numel() == spikes.numel()
            and x.dtype == spikes.dtype
            and x.is_contiguous()
            and spikes.is_contiguous()
        )


@dataclass(slots=True)
class Scene:
    """An operation's surroundings.

    Attributes:
        layer: Name of the innermost module at work.
        kind: What sort of layer that is.
        network: The network it belongs to.
        timing: Samples and timesteps of this call of the network.
        shape: Shape of what came into the innermost module.
        fired: What a neuron fired last.
    """

    layer: str
    kind: str
    network: NetworkFacts
    timing: Timing
    shape: tuple[int, ...]
    fired: CountedSpikes | None = None

    @property
    def batch(self) -> int:
        """Samples in this call of the network."""
        return self.timing.batch

    def steps(self, rows: int) -> int:
        """Return how many timesteps an operand with so many rows in front has: all or one."""
        timesteps = self.timing.timesteps
        if timesteps == 1 or rows % (self.batch * timesteps):
            return 1
        if self.kind in ("linear", "conv"):
            flat = self.shape[:1] == (self.batch * timesteps,)
            apart = len(self.shape) > 2 and self._is_apart(*self.shape[:2])
            return timesteps if flat or apart else 1
        return timesteps

    def _is_apart(self, first: int, second: int) -> bool:
        """Whether two axes are those of samples (with others in one axis) and timesteps."""
        if self.timing.time_first:
            return first == self.timing.timesteps and second % self.batch == 0
        return (first, second) == (self.batch, self.timing.timesteps)

    def split(self, rows: Tensor, steps: int) -> Tensor:
        """Return rows of samples and timesteps as (samples, steps, ...)."""
        if self.timing.time_first:
            return rows.reshape(steps, -1, *rows.shape[1:]).transpose(0, 1)
        return rows.reshape(-1, steps, *rows.shape[1:])

    def by_step(self, rows: Tensor, steps: int) -> list[float]:
        """Sum a tensor whose rows are samples times timesteps (times others) for each timestep."""
        fired = self.fired
        if fired is not None and steps in (1, len(fired.timeline)) and fired.are(rows):
            return fired.timeline if steps > 1 else [sum(fired.timeline)]
        if steps == 1:
            return over_time(rows.reshape(1, 1, -1))
        return over_time(self.split(rows.reshape(self.batch * steps, -1), steps))

    def contents(self, x: Tensor, steps: int = 1) -> Contents:
        """Look at the values of an operand that has so many timesteps.

        What comes before the first neuron and has no time, unless it is encoded in spikes, is the
        same in all unit steps of an integer network, and is computed once.
        """
        network, fired = self.network, self.fired
        if fired is not None and fired.binary and x.dtype == torch.float32 and fired.are(x):
            return Contents("spikes", x)
        held = fired is None and steps == 1 and not network.encoded
        return contents(
            x,
            spiking=network.spiking,
            levels=network.levels,
            unit_steps=1 if held else network.unit_steps,
        )

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


def spread(timeline: Sequence[float], unit_steps: int) -> list[float]:
    """Spread what happens in each timestep of an integer network evenly over its unit steps."""
    return [work / unit_steps for work in timeline for _ in range(unit_steps)]


# Sums of so many spikes are exact in float32, even of a few spikes at once.
_EXACT = 1 << 21
