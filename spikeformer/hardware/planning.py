"""How many chips a network takes, and the spikes between them, without a synapse being written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from itertools import groupby

import numpy as np

from spikeformer.error_handling import ArgumentError, check_interval
from spikeformer.hardware.ir.cores import ChipLimits, Placement
from spikeformer.hardware.ir.graph import Array, Arrays, SpikeGraph
from spikeformer.hardware.ir.operators import Operator
from spikeformer.hardware.ir.placement import place
from spikeformer.hardware.ir.relays import with_relays
from spikeformer.hardware.records import PlacementPlan, PlannedChip, PlannedLayer


def plan(
    graph: SpikeGraph,
    limits: ChipLimits,
    rates: Mapping[str, float] | float,
    *,
    target: str = "",
    largest_system: int | None = None,
) -> PlacementPlan:
    """Place a network on chips and count the spikes that cross from one to another.

    Populations follow one another, each on as few cores as hold it, so that layers that talk to
    each other are neighbours. A packet is counted once for each other chip that holds a neuron it
    reaches, as if routers copied it there; where each core is sent its own, there are more.
    Synapses are counted, layer by layer, and never written down. Delays longer than the chip's
    take relay neurons (`spikeformer.hardware.ir.relays`).

    Args:
        graph: The network.
        limits: What a core and a chip hold.
        rates: Packets of a neuron in a timestep, in [0, 1]: by population, or one for all.
        target: Name of the target, for people.
        largest_system: Chips of the largest system built.

    Raises:
        ArgumentError: A rate is outside its range, or a population has none.
        HardwareCompatibilityError: A neuron or a delay does not fit a core.
    """
    named = _named(graph, rates)
    graph = with_relays(graph, limits.max_delay)
    for population in graph.neurons:  # a relay sends what it gets
        if population.name not in named:
            named[population.name] = named[graph.incoming(population.name)[0].source]
    placement = place(graph, limits)
    sent, received, crossing = _crossing(graph, placement, named)
    layers = [
        PlannedLayer(
            layer=p.name,
            neurons=p.size,
            synapses=sum(core.synapses for core in cores),
            cores=len(cores),
            first_chip=cores[0].chip,
            last_chip=cores[-1].chip,
            rate=named[p.name],
            packets=named[p.name] * p.size,
            crossing=crossing[p.name],
        )
        for p in graph.neurons
        for cores in (placement.cores_of(p.name),)
    ]
    found = [
        PlannedChip(layer, cores, float(sent[chip]), float(received[chip]))
        for chip, (layer, cores) in enumerate(_contents(placement))
    ]
    measured = isinstance(rates, Mapping)
    return PlacementPlan(target, limits, largest_system, measured, layers, found)


def packet_rates(spikes: Arrays) -> dict[str, float]:
    """Return the packets of a neuron in a timestep, by population; a graded spike is one.

    Args:
        spikes: Shape (samples, timesteps, size) each.
    """
    return {name: float(np.count_nonzero(fired) / fired.size) for name, fired in spikes.items()}


def _named(graph: SpikeGraph, rates: Mapping[str, float] | float) -> dict[str, float]:
    """Return the rate of each population.

    Raises:
        ArgumentError: A rate is outside its range, or a population has none.
    """
    named = dict(rates) if isinstance(rates, Mapping) else {p.name: rates for p in graph.neurons}
    if missing := [p.name for p in graph.neurons if p.name not in named]:
        expected = f"a rate for each population, also for {missing[0]!r}"
        raise ArgumentError("rates", sorted(named), expected)
    for rate in named.values():
        check_interval("rates", rate, 0.0, 1.0)
    return named


def _crossing(
    graph: SpikeGraph, placement: Placement, rates: Mapping[str, float]
) -> tuple[Array, Array, dict[str, float]]:
    """Return packets that chips send and receive, (chips,) each, and those of each population."""
    shares = _shares(placement)
    sent, received = np.zeros((2, placement.num_chips))
    crossing = dict.fromkeys(rates, 0.0)
    for population in graph.neurons:
        here = shares[population.name]
        edges = [*(first for _, first, _ in here), population.size]
        chips = np.array([chip for chip, _, _ in here])
        for chip, reached in _reached(graph, population.name, shares):
            counts = np.diff(np.searchsorted(reached, edges))
            counts[chips == chip] = 0
            packets = counts * rates[population.name]
            sent[chips] += packets
            received[chip] += packets.sum()
            crossing[population.name] += float(packets.sum())
    return sent, received, crossing


def _shares(placement: Placement) -> dict[str, list[tuple[int, int, int]]]:
    """Return chip, first neuron and the one behind the last for each chip, by population."""
    shares: dict[str, list[tuple[int, int, int]]] = {}
    for (name, chip), group in groupby(placement.cores, lambda core: (core.population, core.chip)):
        cores = list(group)
        end = cores[-1].first + cores[-1].neurons
        shares.setdefault(name, []).append((chip, cores[0].first, end))
    return shares


def _reached(
    graph: SpikeGraph, source: str, shares: Mapping[str, list[tuple[int, int, int]]]
) -> Iterator[tuple[int, Array]]:
    """Yield each chip that a population sends to, and which of its neurons do, in order."""
    parts: dict[int, list[tuple[Operator, int, int]]] = {}
    for projection in graph.projections:
        if projection.source == source:
            for chip, first, last in shares[projection.target]:
                parts.setdefault(chip, []).append((projection.operator, first, last))
    for chip, found in parts.items():
        yield chip, reduce(np.union1d, (op.reaching(*outputs) for op, *outputs in found))


def _contents(placement: Placement) -> list[tuple[str, int]]:
    """Return the population with most cores and the number of cores, by chip."""
    contents = []
    for _, group in groupby(placement.cores, lambda core: core.chip):
        names = [core.population for core in group]
        contents.append((max(dict.fromkeys(names), key=names.count), len(names)))
    return contents
