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
    sent it and `max_delay` steps behind the one before; they pass counts on as counts. All
    projections of a population share them. A relay stays in its source's own time, so a lag is that
    of the last projection.

    Args:
        graph: The network.
        max_delay: Longest delay of a chip, in steps; None if any can be had.
    """
    if max_delay is None or all(p.delay <= max_delay for p in graph.synapses):
        return graph
    relays: dict[str, list[Population]] = {name: [] for name in graph.populations}
    projections: list[Projection] = []
    for projection in graph.projections:
        source = graph.populations[projection.source]
        hops = ceil(projection.delay / max_delay) - 1
        if hops < 1:
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
    name = f"{source.name}.relay_{depth}"
    if source.graded:  # minima are counts, too
        return Population(name, source.shape, depth=depth, rule="count", levels=source.levels)
    return Population(name, source.shape, threshold=0.5, depth=depth)
