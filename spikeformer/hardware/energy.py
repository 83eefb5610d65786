"""Traffic, operations and modelled energy of a network on a chip, from what the chip counted."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from spikeformer.hardware.ir.graph import Arrays, Population, SpikeGraph
from spikeformer.hardware.ir.hosted import HostedGraph
from spikeformer.hardware.sharing import host_energy, host_traffic, with_host
from spikeformer.profiling import (
    EnergyEstimate,
    LayerCounts,
    OperationCounts,
    Technology,
    estimate,
)


def traffic(graph: SpikeGraph, spikes: Arrays) -> dict[str, float]:
    """Return latency in steps, and spikes, packets and synaptic events of a sample.

    A graded spike is one packet, and as many spikes and synaptic events as it counts; an event of a
    converted network is one of each, and `host_traffic` says what its host gets.
    """
    samples = len(next(iter(spikes.values())))
    fired = sum(int(p.counted(spikes[p.name]).sum()) for p in graph.neurons)
    packets = events = 0
    for projection in graph.synapses:
        if projection.source in spikes:
            counts = graph.populations[projection.source].counted(spikes[projection.source])
            packets += int(np.count_nonzero(spikes[projection.source]))
            events += int(counts @ projection.operator.fan_out())
    return {
        "latency_steps": graph.latency,
        "steps_per_sample": graph.timesteps + graph.lag,
        "spikes_per_sample": fired / samples,
        "packets_per_sample": packets / samples,
        "synaptic_events_per_sample": events / samples,
        **(host_traffic(graph, spikes) if isinstance(graph, HostedGraph) else {}),
    }


def operation_counts(graph: SpikeGraph, spikes: Arrays) -> OperationCounts:
    """Count what a chip did for recorded spikes, layer by layer.

    A neuron is updated at every step. A spike is one packet for each population that it reaches,
    and there crosses as many synapses as it has weights. A graded spike of n is one packet too, and
    n spikes that cross them.

    Args:
        graph: The network.
        spikes: Spikes of every population, and those that came in, uint8 (samples, timesteps,
            size); an event of a converted network is one spike, whatever its size.
    """
    layers = [_layer(graph, population, spikes) for population in graph.neurons]
    return OperationCounts(tuple(layers), len(next(iter(spikes.values()))), graph.name)


def _layer(graph: SpikeGraph, population: Population, spikes: Arrays) -> LayerCounts:
    incoming = [
        (p.operator, graph.populations[p.source].counted(spikes[p.source]))
        for p in graph.incoming(population.name)
        if graph.populations[p.source].kind != "values"
    ]
    fired = spikes[population.name]
    sent = int(population.counted(fired).sum())
    messages = int(np.count_nonzero(fired))
    reached = sum(p.source == population.name for p in graph.projections)
    return LayerCounts(
        name=population.name,
        kind="neuron",
        steps=graph.timesteps,
        synaptic_operations=sum(int(counts @ operator.fan_out()) for operator, counts in incoming),
        events=sum(int(counts.sum()) for _, counts in incoming),
        spikes=sent,
        packets=messages * reached,
        neuron_updates=fired.size,
        membranes=population.size,
    )


def modelled_energy(
    prices: Iterable[Technology], graph: SpikeGraph, spikes: Arrays
) -> list[EnergyEstimate]:
    """Return the energy of a sample by each of the prices that stand for a target.

    Of a converted network each is given without its host, then each with it.

    Args:
        prices: A target's `prices`.
        graph: The network.
        spikes: As `operation_counts` takes them.
    """
    counts = operation_counts(graph, spikes)
    chip = [estimate(counts, technology) for technology in prices]
    return with_host(chip, host_energy(graph)) if isinstance(graph, HostedGraph) else chip
