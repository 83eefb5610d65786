"""The spike graph: a network as populations of neurons and the projections between them.

Everything that this package does, starts or ends with it: lowering makes one from a network, each
target runs one, comparison reads what they recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import numpy as np
import torch

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.fusion import confidence_weights
from spikeformer.hardware.ir.firing import HOSTED_RULES, MAX_LEVELS, RULES, Rule
from spikeformer.hardware.ir.operators import Array as Array
from spikeformer.hardware.ir.operators import Operator

KINDS = ("lif", "spikes", "values")

Arrays = Mapping[str, Array]
"""Arrays by population name.

As inputs of a graph: (samples, timesteps, size) of 0 and 1 for kind "spikes", (samples, size) real
numbers for kind "values". As what a target recorded: spikes, uint8 (samples, timesteps, size), of 0
and 1 or counts, for every population of kind "lif", each in its own time: index 0 of the time axis
is global step `sample * timesteps + depth`.
"""


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons that share their parameters, ordered as the network's features are, flattened.

    Kind "lif" fires by `i = current_decay * i + I`, `v = decay * v + i`, `s = v >= threshold`,
    `v = 0` where it fired, and starts every sample from `i = v = 0`. Kind "spikes" is a source
    whose spike trains come with the sample. Kind "values" is a source of real numbers that stay the
    same for a sample; its projections are computed by the host, and what arrives is a constant
    current (direct coding).

    That is the rule "threshold". With "count" a neuron sends graded spikes, n of 0 to `levels`, by
    `v = decay * v + I`, `n = round(v / threshold)` in that range with ties to the even number, and
    `v = v - threshold * n`. With "minimum" it has no memory and sends the smaller of two counts a
    and b, which come as one current `a + B b`, B the least power of two above `levels`
    (`ir.firing`). The rules of converted networks are in `ir.hosted`.

    Attributes:
        name: Unique in the graph; starts with the path of the module it stands for.
        shape: Features in the network, such as (channels, rows, columns) or (tokens, channels).
        kind: One of `KINDS`.
        decay: Factor on the membrane per step, in [0, 1]; 0 for coincidences, 1 without a leak.
        threshold: Potential at which a neuron fires; above 0.
        bias: Constant part of `I`, (size,); None is zero.
        depth: Steps by which its local time lags behind the input's.
        rule: One of `firing.RULES`.
        levels: Most spikes of a neuron in one step; 1 for the rule "threshold".
        current_decay: Factor on the current per step, in [0, 1); 0 for a current that lasts a step.
            Others have the rule "threshold".
    """

    name: str
    shape: tuple[int, ...]
    kind: str = "lif"
    decay: float = 0.0
    threshold: float = 1.0
    bias: Array | None = None
    depth: int = 0
    rule: Rule = "threshold"
    levels: int = 1
    current_decay: float = 0.0

    @property
    def graded(self) -> bool:
        """Whether it sends numbers of spikes."""
        return self.rule != "threshold"

    @property
    def size(self) -> int:
        """Number of neurons."""
        return prod(self.shape)

    def counted(self, spikes: Array) -> Array:
        """Return how often each neuron's spikes cross each of its synapses, int64 (size,).

        Args:
            spikes: What it sent, (samples, timesteps, size).
        """
        return np.asarray(spikes.sum(axis=(0, 1), dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Projection:
    """Synapses from one population to another.

    Attributes:
        source: Name of the population that sends.
        target: Name of the population that receives, of kind "lif".
        operator: The weights, (target size, source size).
        delay: Steps from a spike to its effect, at least 1: the difference of the two depths, which
            may be negative where there is a lag, and `lag`. 0 if the source is of kind "values",
            whose current is there all the time.
        lag: Steps that a spike takes in the network's own time: its effect is at the timestep of
            the sample so many later, or none if the sample ends before.
    """

    source: str
    target: str
    operator: Operator
    delay: int = 1
    lag: int = 0

    def arriving(self, spikes: Array) -> Array:
        """Return spikes (samples, timesteps, size) at the timesteps of their effect."""
        if not self.lag:
            return spikes
        late = np.zeros_like(spikes)
        late[:, self.lag :] = spikes[:, : -self.lag]
        return late


@dataclass(frozen=True, eq=False)
class Readout:
    """What the host computes from spike counts: the network's output, averaged over time.

    `output = bias + sum_p operator_p (spikes_p summed over time / timesteps)`

    Attributes:
        shape: Shape of one sample's output.
        terms: Pairs of a population's name and an operator (outputs, population size).
        bias: Shape (outputs,).
        mask: Name of a source of kind "values" that is 1 at real tokens and 0 at padding. The
            operators then read a mean over all tokens, and the host makes it one over the real
            ones: it multiplies the spikes of token n by `mask[n] * tokens / max(1, sum(mask))`.
        branches: Modalities that late fusion classifies apart. Where there are several, the
            operators and the bias give the outputs of one behind those of the other, and the host
            averages them by `spikeformer.fusion.confidence_weights`.
        temperature: Of those weights.
    """

    shape: tuple[int, ...]
    terms: tuple[tuple[str, Operator], ...]
    bias: Array
    mask: str | None = None
    branches: int = 1
    temperature: float = 1.0

    def averaged(self, outputs: Array) -> Array:
        """Average the outputs (samples, branches * outputs) of all branches."""
        if self.branches == 1:
            return outputs
        apart = torch.from_numpy(outputs.reshape(len(outputs), self.branches, -1)).movedim(1, 0)
        weights = confidence_weights(apart[:, :, None], self.temperature)
        averaged: Array = (weights[..., None] * apart).sum(dim=0).numpy()
        return averaged


@dataclass(frozen=True, eq=False)
class SpikeGraph:
    """A whole network. Projections never go back, so it runs as a pipeline.

    In global step g a population of kind "lif" integrates::

        i[g] = current_decay * i[g-1] + current + sum_p W_p s_source[g - delay_p]
        v[g] = decay * v[g-1] + i[g]
        s[g] = v[g] >= threshold,   v[g] = 0 where it fired

    `current` is the bias and what "values" send, as `currents` gives it. A new sample enters every
    `timesteps` steps. A population at depth d works on sample n in the steps from
    `n * timesteps + d` on, starts it with `i = v = 0`, and changes its current at the same moment.
    Delays are balanced but for lags, so samples never mix where there are none. Where there are,
    spikes that arrive after their sample's end are lost: `lag` steps after it none is under way.

    Attributes:
        timesteps: Steps for each sample.
        populations: In topological order, by name.
        projections: In the order of their targets.
        readout: The host's part at the end; None if only spikes are asked for.
    """

    timesteps: int
    populations: Mapping[str, Population]
    projections: tuple[Projection, ...]
    readout: Readout | None = None
    name: str = field(default="network")

    def __post_init__(self) -> None:
        seen: dict[str, Population] = {}
        incoming: dict[str, list[Projection]] = {}
        for projection in self.projections:
            incoming.setdefault(projection.target, []).append(projection)
        for name, population in self.populations.items():
            _check_population(name, population)
            for projection in incoming.pop(name, []):
                _check_projection(projection, population, seen)
            seen[name] = population
        if incoming:
            raise HardwareCompatibilityError(
                f"Spike graph: projections lead to unknown populations {sorted(incoming)}."
            )

    @property
    def neurons(self) -> list[Population]:
        """The populations that fire by themselves, in topological order."""
        return [p for p in self.populations.values() if p.kind == "lif"]

    @property
    def sources(self) -> list[Population]:
        """The populations that come with a sample."""
        return [p for p in self.populations.values() if p.kind != "lif"]

    @property
    def synapses(self) -> list[Projection]:
        """The projections that carry spikes: those that a chip computes."""
        return [p for p in self.projections if self.populations[p.source].kind != "values"]

    @cached_property
    def _incoming(self) -> dict[str, list[Projection]]:
        found: dict[str, list[Projection]] = {name: [] for name in self.populations}
        for projection in self.projections:
            found[projection.target].append(projection)
        return found

    def incoming(self, name: str) -> list[Projection]:
        """Return the projections that lead to a population."""
        return self._incoming[name]

    @property
    def depth(self) -> int:
        """Largest depth of a population."""
        return max(p.depth for p in self.populations.values())

    @property
    def latency(self) -> int:
        """Steps from the first input of a sample to its last output spike."""
        return self.depth + self.timesteps

    @cached_property
    def lag(self) -> int:
        """Most steps by which spikes of a sample may arrive after its last: the longest sum."""
        longest = dict.fromkeys(self.populations, 0)
        for projection in self.projections:
            late = longest[projection.source] + projection.lag
            longest[projection.target] = max(longest[projection.target], late)
        return max(longest.values())

    @property
    def num_neurons(self) -> int:
        """Number of neurons that fire by themselves."""
        return sum(population.size for population in self.neurons)

    @property
    def num_synapses(self) -> int:
        """Number of non-zero weights that carry spikes."""
        return sum(projection.operator.num_synapses for projection in self.synapses)

    def currents(self, inputs: Arrays) -> dict[str, Array]:
        """Return each neuron's constant current, (samples, size), where there is any.

        Args:
            inputs: Arrays of the populations of `sources`.
        """
        samples = len(next(iter(inputs.values())))
        found: dict[str, Array] = {}
        for population in self.neurons:
            parts = [
                p.operator.apply(inputs[p.source])
                for p in self.incoming(population.name)
                if self.populations[p.source].kind == "values"
            ]
            if population.bias is not None:
                parts.append(np.broadcast_to(population.bias, (samples, population.size)))
            if parts:
                found[population.name] = np.add.reduce(parts)
        return found

    def outputs(self, spikes: Arrays) -> Array:
        """Return the network's outputs averaged over time, (samples, *readout.shape).

        Args:
            spikes: What a target recorded, and what came in, if the readout takes it.
        """
        if self.readout is None:
            raise HardwareCompatibilityError("This spike graph has no readout: it gives spikes.")
        total = self.readout.bias
        for name, operator in self.readout.terms:
            rate = spikes[name].sum(axis=1, dtype=np.float64) / self.timesteps
            if self.readout.mask is not None:
                mask = spikes[self.readout.mask]
                weight = mask * (mask.shape[1] / np.maximum(mask.sum(axis=1, keepdims=True), 1))
                rate = rate * np.repeat(weight, rate.shape[1] // mask.shape[1], axis=1)
            total = total + operator.apply(rate)
        return self.readout.averaged(total).reshape(-1, *self.readout.shape)


def _check_population(name: str, population: Population) -> None:
    reason = None
    if population.name != name:
        reason = f"is filed under {name!r}"
    elif population.kind not in KINDS:
        reason = f"has kind {population.kind!r}, which is none of {KINDS}"
    elif not 0 <= population.decay <= 1 or not population.threshold > 0:
        reason = (
            f"has decay {population.decay} and threshold {population.threshold}, but decays lie in "
            "[0, 1] and thresholds above 0"
        )
    elif not 0 <= population.current_decay < 1 or (population.current_decay and population.graded):
        reason = (
            f"has current_decay {population.current_decay} and the rule {population.rule!r}, but "
            "currents decay by a factor in [0, 1), and do where neurons fire at a threshold"
        )
    elif population.bias is not None and population.bias.shape != (population.size,):
        reason = f"of {population.size} neurons has a bias of shape {population.bias.shape}"
    elif population.rule not in RULES or not 1 <= population.levels <= MAX_LEVELS:
        reason = (
            f"fires by {population.rule!r} with {population.levels} levels, but rules are {RULES} "
            f"and levels 1 to {MAX_LEVELS}"
        )
    elif population.rule in HOSTED_RULES and type(population) is Population:
        reason = f"fires by {population.rule!r}, which only those of a converted network do"
    elif population.levels > 1 and not population.graded:
        reason = f"has {population.levels} levels, but a threshold has one"
    elif population.graded and population.kind != "lif":
        reason = f"has kind {population.kind!r} and the rule {population.rule!r} of neurons"
    if reason:
        raise HardwareCompatibilityError(f"Spike graph: population {population.name!r} {reason}.")


def _check_projection(
    projection: Projection, target: Population, earlier: Mapping[str, Population]
) -> None:
    where = f"Spike graph: projection {projection.source!r} -> {projection.target!r}"
    source = earlier.get(projection.source)
    if source is None or target.kind != "lif":
        raise HardwareCompatibilityError(f"{where} does not lead from an earlier one to neurons.")
    if projection.operator.shape != (target.size, source.size):
        raise HardwareCompatibilityError(
            f"{where} has weights of shape {projection.operator.shape}, but joins {source.size} to "
            f"{target.size} neurons."
        )
    values = source.kind == "values"
    balanced = 0 if values else target.depth - source.depth + projection.lag
    if projection.lag < 0 or (values and projection.lag):
        raise HardwareCompatibilityError(f"{where} has a lag of {projection.lag} steps.")
    if projection.delay != balanced or (source.kind != "values" and balanced < 1):
        raise HardwareCompatibilityError(
            f"{where} has delay {projection.delay}, but the depths {source.depth} and "
            f"{target.depth} ask for {balanced}, and a spike takes at least 1."
        )
