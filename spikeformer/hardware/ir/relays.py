"""Neurons that pass spikes on, where a delay is longer than a chip's."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from scipy import sparse

from spikeformer.hardware.ir.graph import Population, Projection, SpikeGraph
from spikeformer.hardware.ir.operators import Sparse


def with_relays(graph: SpikeGraph, max_delay: int | None) -> SpikeGraph:
    """Return a graph that computes the same spikes with delays of `max_delay` steps at most.

    A spike that takes longer passes through populations without memory, each of as many neurons as
    sent it and `max_delay` steps behind the one before. All projections of a population share them.
    Graded spikes, and lags longer than `max_delay`, stay as they are.

    Args:
        graph: The network.
        max_delay: Longest delay of a chip, in steps; None if any can be had.
    """
    if max_delay is None or all(p.delay <= max_delay for p in graph.synapses):
        return graph
    relays: dict[str, list[Population]] = {name: [] for name in graph.populations}
    projections: list[Projection] = []
    for projection in graph.projections:
        source, target = (graph.populations[x] for x in (projection.source, projection.target))
        hops = ceil(projection.delay / max_delay) - 1
        if hops < 1 or source.graded or source.depth + hops * max_delay >= target.depth:
            projections.append(projection)
            continue
        chain = relays[source.name]
        while len(chain) < hops:
            before = chain[-1] if chain else source
            chain.append(_relay(source, before, max_delay))
            passing = Sparse(sparse.eye_array(source.size, format="csr"))
            projections.append(Projection(before.name, chain[-1].name, passing, max_delay))
        delay = projection.delay - hops * max_delay
        projections.append(replace(projection, source=chain[hops - 1].name, delay=delay))
    populations = {
        p.name: p for name in graph.populations for p in (graph.populations[name], *relays[name])
    }
    return replace(graph, populations=populations, projections=tuple(projections))


def _relay(source: Population, before: Population, max_delay: int) -> Population:
    depth = before.depth + max_delay
    return Population(f"{source.name}.relay_{depth}", source.shape, threshold=0.5, depth=depth)
