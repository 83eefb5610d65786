"""Which neurons go to which core, and whether they fit."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware.ir.cores import ChipLimits, Core, Placement
from spikeformer.hardware.ir.graph import Population, SpikeGraph
from spikeformer.hardware.ir.operators import Array
from spikeformer.i18n import t


def place(graph: SpikeGraph, limits: ChipLimits) -> Placement:
    """Split every population over as few cores as hold it, in equal shares of memory.

    A core holds one population alone, since its neurons share parameters, and all synapses that
    lead to its neurons.

    Raises:
        HardwareCompatibilityError: A neuron has more synapses than a core holds, or a delay is too
            long.
    """
    cores: list[Core] = []
    for population in graph.neurons:
        synapses = fan_in(graph, population)
        for projection in graph.incoming(population.name):
            if graph.populations[projection.source].kind == "values":
                continue
            if limits.max_delay is not None and projection.delay > limits.max_delay:
                raise HardwareCompatibilityError(
                    t(
                        "hardware.delay_too_long",
                        layer=population.name,
                        source=projection.source,
                        delay=projection.delay,
                        chip=limits.name,
                        most=limits.max_delay,
                    )
                )
        for first, last in _shares(population, synapses, limits):
            count = int(synapses[first:last].sum())
            chip, core = divmod(len(cores), limits.cores_per_chip)
            size = count * limits.bytes_per_weight
            cores.append(Core(chip, core, population.name, first, last - first, count, size))
    return Placement(limits, tuple(cores))


def fan_in(graph: SpikeGraph, population: Population) -> Array:
    """Return how many synapses lead to each neuron of a population, (size,)."""
    total = np.zeros(population.size, np.int64)
    for projection in graph.incoming(population.name):
        if graph.populations[projection.source].kind != "values":
            total += projection.operator.fan_in()
    return total


def _shares(population: Population, synapses: Array, limits: ChipLimits) -> list[tuple[int, int]]:
    """Return ranges of neurons, one for each core."""
    capacity = limits.synapse_bytes_per_core // limits.bytes_per_weight
    if synapses.max(initial=0) > capacity:
        raise HardwareCompatibilityError(
            t(
                "hardware.core_too_small",
                layer=population.name,
                synapses=int(synapses.max()),
                chip=limits.name,
                capacity=capacity,
            )
        )
    total = np.concatenate([[0], np.cumsum(synapses)])
    edges = [0]  # each core as full as can be, which takes as few as can be
    while edges[-1] < population.size:
        full = int(np.searchsorted(total, total[edges[-1]] + capacity, side="right")) - 1
        edges.append(min(full, edges[-1] + limits.neurons_per_core))
    # Equal shares of memory, or of neurons where there are no synapses, if as few cores hold them.
    cost = total if total[-1] else np.arange(population.size + 1)
    wanted = len(edges) - 1
    cuts = np.searchsorted(cost, cost[-1] * np.arange(1, wanted) / wanted)
    equal = np.unique([0, *cuts.tolist(), population.size])
    fits = np.diff(total[equal]).max() <= capacity
    if fits and np.diff(equal).max() <= limits.neurons_per_core:
        edges = equal.tolist()
    return list(pairwise(edges))
