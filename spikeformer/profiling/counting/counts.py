"""How much work a network did, as plain numbers: what every energy estimate starts from.

Nothing here needs torch or a network. The profiler fills these in by watching a forward pass; a
converted network or a chip run fills them in from its own counters, with the same three functions:
`dense_layer`, `event_layer` and `neuron_layer`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import zip_longest
from operator import attrgetter

from spikeformer.error_handling import ArgumentError, check_positive_int


@dataclass(frozen=True, kw_only=True)
class LayerCounts:
    """What one layer did, summed over all samples and timesteps.

    Attributes:
        name: Name of the layer in its network.
        kind: "linear", "conv", "attention", "matmul", "embedding", "norm", "neuron", or
            "integrator" for neurons that do not spike.
        steps: Timesteps for which the layer ran in each sample; 1 in an ANN.
        dense: Operations of the full product, zeros included, over all timesteps.
        macs: Multiply-accumulates with two operands that are not zero.
        skipped_macs: Multiply-accumulates with a zero in them, done unless hardware skips zeros.
        foldable_macs: Those of batch norm, which inference folds into the weights before it.
        acs: Accumulates: additions of a weight for a spike.
        synaptic_operations: Synapses crossed by spikes; a spike of 2 crosses twice.
        events: Spikes (or graded messages) that the layer received.
        spikes: Spikes that the layer sent.
        packets: Messages a chip routed, where it counted them; None takes `spikes`.
        neuron_updates: Membranes brought forward by one timestep.
        inputs: Places from which values or spikes can come, over all samples and timesteps.
        outputs: Places to which they go.
        weight_reads: Weights read from memory.
        activation_reads: Real input values read from memory; events are counted above.
        activation_writes: Real output values written.
        membrane_reads: Membranes read.
        membrane_writes: Membranes written.
        address_adds: Additions of integers that find the next address.
        address_macs: Multiply-accumulates of integers that find an address.
        weights: Weights that the layer keeps in memory.
        activations: Real values of one sample and timestep that it keeps in memory.
        membranes: Membranes of one sample that it keeps in memory.
        timeline: Effective operations at each timestep (spikes, for neurons); may be empty.
    """

    name: str
    kind: str
    steps: int = 1
    dense: float = 0.0
    macs: float = 0.0
    skipped_macs: float = 0.0
    foldable_macs: float = 0.0
    acs: float = 0.0
    synaptic_operations: float = 0.0
    events: float = 0.0
    spikes: float = 0.0
    packets: float | None = None
    neuron_updates: float = 0.0
    inputs: float = 0.0
    outputs: float = 0.0
    weight_reads: float = 0.0
    activation_reads: float = 0.0
    activation_writes: float = 0.0
    membrane_reads: float = 0.0
    membrane_writes: float = 0.0
    address_adds: float = 0.0
    address_macs: float = 0.0
    weights: float = 0.0
    activations: float = 0.0
    membranes: float = 0.0
    timeline: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        numbers = _NUMBERS(self)
        if min(numbers) >= 0 and sum(numbers) < math.inf:  # a NaN is caught by the sum
            return
        for name, value in zip((*_SUMS, *_SIZES), numbers, strict=True):
            if not 0 <= value < math.inf:
                raise ArgumentError(name, value, "a finite number of at least 0")

    @classmethod
    def merged(cls, parts: Sequence[LayerCounts]) -> LayerCounts:
        """Return several counts of one layer as one: work adds up, memories are shared.

        Name and kind are those of the first.
        """
        sums = {name: sum(getattr(part, name) for part in parts) for name in _SUMS}
        sizes = {name: max(getattr(part, name) for part in parts) for name in _SIZES}
        packets = None
        if any(part.packets is not None for part in parts):
            packets = sum(p.spikes if p.packets is None else p.packets for p in parts)
        steps = zip_longest(*(part.timeline for part in parts), fillvalue=0.0)
        timeline = tuple(map(sum, steps))
        return replace(parts[0], **sums, **sizes, packets=packets, timeline=timeline)

    def later(self, steps: int) -> LayerCounts:
        """Return the same work so many timesteps later."""
        if not steps:
            return self
        timeline = (0.0,) * steps + self.timeline if self.timeline else ()
        return replace(self, steps=self.steps + steps, timeline=timeline)

    def with_spikes(self, factor: float) -> LayerCounts:
        """Return what the layer would do if all neurons fired so many times as often.

        All that spikes cause goes along with their number, additions for coinciding spikes too.
        """
        caused = _CAUSED_BY_SPIKES if self.synaptic_operations else ()
        changes = {name: factor * getattr(self, name) for name in (*caused, "spikes")}
        packets = None if self.packets is None else factor * self.packets
        timeline = self.timeline
        if caused or self.neuron_updates:
            timeline = tuple(factor * operations for operations in timeline)
        return replace(self, **changes, packets=packets, timeline=timeline)

    @property
    def fires(self) -> bool:
        """Whether the layer can spike."""
        return self.kind != "integrator"

    @property
    def memory_accesses(self) -> float:
        """Values and events read from or written to memory."""
        activations = self.activation_reads + self.activation_writes
        membranes = self.membrane_reads + self.membrane_writes
        return self.weight_reads + activations + membranes + self.events + self.spikes


_CAUSED_BY_SPIKES = (
    "macs",
    "acs",
    "synaptic_operations",
    "events",
    "weight_reads",
    "membrane_reads",
    "membrane_writes",
    "address_adds",
    "address_macs",
)
_SIZES = ("steps", "weights", "activations", "membranes")
_SUMS = tuple(
    field.name
    for field in fields(LayerCounts)
    if field.name not in ("name", "kind", "packets", "timeline", *_SIZES)
)
_NUMBERS = attrgetter(*_SUMS, *_SIZES)


@dataclass(frozen=True)
class OperationCounts:
    """What a network did for a number of samples.

    Attributes:
        layers: Its layers in the order in which they ran.
        samples: Samples that the counts are the sum of.
        name: What to call the network.
    """

    layers: tuple[LayerCounts, ...]
    samples: int = 1
    name: str = "network"

    def __post_init__(self) -> None:
        check_positive_int("samples", self.samples)

    def with_spikes(self, factor: float) -> OperationCounts:
        """Return what the network would do if all its neurons fired so many times as often."""
        layers = tuple(layer.with_spikes(factor) for layer in self.layers)
        return OperationCounts(layers, self.samples, self.name)

    def per_sample(self, count: str) -> float:
        """Return one of the counts of `LayerCounts`, summed over layers, for one sample."""
        return sum(getattr(layer, count) for layer in self.layers) / self.samples

    @property
    def timesteps(self) -> int:
        """Timesteps of the network: those of the layer with most; 1 in an ANN."""
        return max((layer.steps for layer in self.layers), default=1)

    @property
    def firing_rate(self) -> float | None:
        """Spikes per neuron and timestep; None in a network without spiking neurons."""
        firing = [layer for layer in self.layers if layer.neuron_updates and layer.fires]
        updates = sum(layer.neuron_updates for layer in firing)
        spikes = sum(layer.spikes for layer in firing)
        return spikes / updates if updates else None

    @property
    def sparsity(self) -> float:
        """Share of the full products' operations that a zero operand saves, in [0, 1]."""
        dense = sum(layer.dense for layer in self.layers)
        done = sum(layer.macs + layer.acs for layer in self.layers if layer.dense)
        return max(0.0, 1.0 - done / dense) if dense else 0.0


def dense_layer(
    name: str,
    kind: str,
    *,
    macs: float,
    effective_macs: float | None = None,
    inputs: float,
    outputs: float,
    weights: float,
    samples: int = 1,
    steps: int = 1,
    timeline: Iterable[float] = (),
) -> LayerCounts:
    """Count a layer whose inputs are real values.

    Every multiply-accumulate reads its weight, and in a convolution its input too; sums stay in a
    register until they are written.

    Args:
        name: Name of the layer.
        kind: "linear", "conv", "attention" or "matmul".
        macs: Multiply-accumulates of the full product, over all samples and timesteps.
        effective_macs: Those without a zero operand; None means that no operand is zero.
        inputs: Input values over all samples and timesteps.
        outputs: Output values over all samples and timesteps.
        weights: Weights of the layer.
        samples: Number of samples.
        steps: Timesteps in each sample.
        timeline: Effective operations at each timestep.

    Source: Lemaire et al., 2022, arXiv:2210.13107, equations 1 to 12 and 16.

    Example:
        >>> dense_layer("fc", "linear", macs=6, inputs=2, outputs=3, weights=6).weight_reads
        6
    """
    effective = macs if effective_macs is None else effective_macs
    convolves = kind == "conv"
    return LayerCounts(
        name=name,
        kind=kind,
        steps=steps,
        dense=macs,
        macs=effective,
        skipped_macs=max(0.0, macs - effective),
        inputs=inputs,
        outputs=outputs,
        weight_reads=macs,
        activation_reads=macs if convolves else inputs,
        activation_writes=outputs,
        address_adds=inputs + outputs + weights * samples if convolves else macs,
        weights=weights,
        activations=(inputs + outputs) / (samples * steps),
        timeline=tuple(timeline),
    )


def event_layer(
    name: str,
    kind: str,
    *,
    events: float,
    operations: float,
    dense: float,
    weights: float,
    targets: float,
    inputs: float = 0.0,
    outputs: float = 0.0,
    graded: bool = False,
    steps: int = 1,
    timeline: Iterable[float] = (),
) -> LayerCounts:
    """Count a layer that works only where a spike arrives.

    Every operation reads a weight, and reads and writes the membrane (or sum) it is added to.

    Args:
        name: Name of the layer.
        kind: "linear", "conv", "attention" or "matmul".
        events: Spikes received, over all samples and timesteps; two at once count twice.
        operations: Synapses they cross: for each event the outputs that it reaches.
        dense: Operations of the full product, zeros included, over all samples and timesteps.
        weights: Weights of the layer.
        targets: Membranes of one sample that the layer adds to.
        inputs: Places that can send an event, over all samples and timesteps; for `ann_equivalent`.
        outputs: Places that get a sum; the same.
        graded: Events carry a value (levels, signs times a size), so each operation multiplies.
        steps: Timesteps in each sample.
        timeline: Operations at each timestep.

    Source: Lemaire et al., 2022, arXiv:2210.13107, equations 1.4, 5, 7 and 14 to 17.

    Example:
        >>> layer = event_layer(
        ...     "fc", "linear", events=2, operations=6, dense=12, weights=12, targets=3
        ... )
        >>> layer.acs, layer.membrane_writes
        (6, 6)
    """
    return LayerCounts(
        name=name,
        kind=kind,
        steps=steps,
        dense=dense,
        macs=operations if graded else 0.0,
        acs=0.0 if graded else operations,
        synaptic_operations=operations,
        events=events,
        inputs=inputs,
        outputs=outputs,
        weight_reads=operations,
        membrane_reads=operations,
        membrane_writes=operations,
        address_adds=operations,
        address_macs=2 * events if kind == "conv" else 0.0,
        weights=weights,
        membranes=targets,
        timeline=tuple(timeline),
    )


def neuron_layer(
    name: str,
    *,
    updates: float,
    spikes: float,
    neurons: float,
    states: int = 1,
    fires: bool = True,
    packets: float | None = None,
    steps: int = 1,
    timeline: Iterable[float] = (),
) -> LayerCounts:
    """Count a layer of spiking neurons, each updated at every timestep.

    An update reads and writes each of the neuron's states; those beside the membrane decay by a
    multiply-accumulate of their own.

    Args:
        name: Name of the layer.
        updates: Neurons times timesteps times samples.
        spikes: Spikes sent.
        neurons: Neurons of the layer.
        states: Numbers that each neuron remembers: 2 with an adaptation or a synaptic current.
        fires: Whether it spikes, or only integrates as a readout does.
        packets: Messages that a chip routed for them, if it counted.
        steps: Timesteps in each sample.
        timeline: Spikes at each timestep.

    Example:
        >>> neuron_layer("lif", updates=40, spikes=4, neurons=10, steps=4).memory_accesses
        84.0
    """
    return LayerCounts(
        name=name,
        kind="neuron" if fires else "integrator",
        steps=steps,
        neuron_updates=updates,
        spikes=spikes,
        packets=packets,
        macs=(states - 1) * updates,
        membrane_reads=states * updates,
        membrane_writes=states * updates,
        membranes=states * neurons,
        timeline=tuple(timeline),
    )
