"""Comparison of two runs, spike for spike."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeformer.hardware.ir.firing import count, minimum_of_packed
from spikeformer.hardware.ir.graph import Array, Arrays, SpikeGraph
from spikeformer.hardware.ir.hosted import HostedGraph
from spikeformer.hardware.ir.runtime import RATE
from spikeformer.hardware.records import Comparison, LayerComparison
from spikeformer.hardware.reference import Reference

SUM_TOLERANCE = 1e-9
"""Relative difference up to which sums in real numbers count as equal: additions have no order."""


def compare(graph: SpikeGraph, expected: Arrays, recorded: Arrays) -> Comparison:
    """Compare two runs of a graph; sums of which one is in integers are left out.

    Args:
        graph: The graph.
        expected: Spikes of every population, uint8 (samples, timesteps, size).
        recorded: The same from another target.
    """
    layers = []
    for population in graph.neurons:
        if population.rule == "change" and population.name not in expected:
            continue  # PyTorch sends none; the events that follow from them say it all
        wanted, found = expected[population.name], recorded[population.name]
        if population.rule == "sum" and wanted.dtype.kind != found.dtype.kind:
            continue  # one in the network's units, one in the chip's; the events say it all
        different = wanted != found
        if population.rule in ("sum", "change") and wanted.dtype.kind == "f":
            scale = np.abs(wanted).max(initial=0.0)
            different = ~np.isclose(wanted, found, rtol=SUM_TOLERANCE, atol=SUM_TOLERANCE * scale)
        count = int(np.count_nonzero(different))
        place = np.unravel_index(int(different.argmax()), different.shape)
        layers.append(
            LayerComparison(
                population.name,
                int(population.counted(wanted).sum()),
                count,
                wanted.size,
                (int(place[0]), int(place[1]), int(place[2])) if count else None,
            )
        )
    return Comparison(len(wanted), tuple(layers))


def reference_spikes(graph: SpikeGraph, reference: Reference) -> dict[str, Array]:
    """Return the network's spikes for every population of its graph.

    Populations without a module of their own, the coincidences that stand for products and maxima,
    have no memory: theirs follow from the spikes of the modules before them, in PyTorch.
    """
    spikes = {**reference.inputs, **reference.spikes}
    if isinstance(graph, HostedGraph):
        return _events(graph, reference)
    for population in graph.neurons:
        if population.name not in spikes:
            current: Any = 0.0
            for projection in graph.incoming(population.name):
                part = projection.operator.apply(spikes[projection.source])
                held = graph.populations[projection.source].kind == "values"
                current = current + (part[:, None] if held else part)
            if population.rule == "minimum":
                fired = minimum_of_packed(np.rint(current), population.levels)
            elif population.rule == "count":
                fired = count(current, population.threshold, population.levels)
            else:
                fired = current >= population.threshold
            spikes[population.name] = fired.astype(np.uint8)
    return {population.name: spikes[population.name] for population in graph.neurons}


def _events(graph: HostedGraph, reference: Reference) -> dict[str, Array]:
    """Return a converted network's events in the order of its populations, and their sums."""
    orders = {
        f.arguments[0]: graph.constants[f.settings["order"]]
        for f in graph.functions
        if f.function == RATE and f.settings.get("order")
    }
    found: dict[str, Array] = {}
    for p in graph.differential:
        if p.rule == "differential":
            order = orders.get(p.name)
            events = reference.spikes[p.name]
            found[p.name] = events if order is None else events[..., np.argsort(order)]
        elif p.rule == "sum":
            parts = [i.operator.apply(found[i.source]) for i in graph.incoming(p.name)]
            found[p.name] = np.add.reduce(parts)
    return found


def accuracy(outputs: Array, targets: Array) -> float:
    """Return the share of samples, or of tokens, whose largest output is that of their class.

    Args:
        outputs: Shape (samples, classes) or (samples, tokens, vocabulary).
        targets: Classes without the last axis; those below 0, as of padding, do not count.
    """
    there = targets >= 0
    return float((outputs.argmax(axis=-1) == targets)[there].mean())


def agreement(outputs: Array, others: Array, targets: Array) -> float:
    """Return the share of what `accuracy` counts that two runs put into the same class."""
    there = targets >= 0
    return float((outputs.argmax(axis=-1) == others.argmax(axis=-1))[there].mean())
