"""Modelled energy of a network on a chip, from what the chip counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np

from spikeformer.hardware.ir.graph import Arrays, Population, SpikeGraph
from spikeformer.profiling import LayerCounts, OperationCounts, Technology, estimate


def operation_counts(graph: SpikeGraph, spikes: Arrays) -> OperationCounts:
    """Count what a chip did for recorded spikes, layer by layer.

    A neuron is updated at every step. A spike is one packet for each population that it reaches,
    and there crosses as many synapses as it has weights.

    Args:
        graph: The network.
        spikes: Spikes of every population, and those that came in, uint8 (samples, timesteps,
            size).
    """
    layers = [_layer(graph, population, spikes) for population in graph.neurons]
    return OperationCounts(tuple(layers), len(next(iter(spikes.values()))), graph.name)


def _layer(graph: SpikeGraph, population: Population, spikes: Arrays) -> LayerCounts:
    incoming = [
        (p.operator, spikes[p.source].sum(axis=(0, 1), dtype=np.int64))
        for p in graph.incoming(population.name)
        if graph.populations[p.source].kind != "values"
    ]
    fired = spikes[population.name]
    sent = int(fired.sum(dtype=np.int64))
    reached = sum(p.source == population.name for p in graph.projections)
    return LayerCounts(
        name=population.name,
        kind="neuron",
        steps=graph.timesteps,
        synaptic_operations=sum(int(counts @ operator.fan_out()) for operator, counts in incoming),
        events=sum(int(counts.sum()) for _, counts in incoming),
        spikes=sent,
        packets=sent * reached,
        neuron_updates=fired.size,
        membranes=population.size,
    )


def modelled_energy(
    prices: Iterable[Technology], graph: SpikeGraph, spikes: Arrays
) -> list[dict[str, Any]]:
    """Return the energy of a sample by the prices that stand for a target, in µJ with bounds.

    Args:
        prices: A target's `prices`.
        graph: The network.
        spikes: As `operation_counts` takes them.

    Returns:
        For each its `technology`, `energy_uj` and `breakdown` (each `low`, `value`, `high`) and
        `source`.
    """
    counts = operation_counts(graph, spikes)
    found = []
    for technology in prices:
        modelled = estimate(counts, technology)
        found.append(
            {
                "technology": technology.name,
                "energy_uj": asdict(modelled.energy_uj),
                "breakdown": {key: asdict(part) for key, part in modelled.breakdown.items()},
                "source": modelled.source,
            }
        )
    return found
