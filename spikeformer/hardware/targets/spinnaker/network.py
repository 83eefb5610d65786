"""What the workers for SpiNNaker are given: a spike graph in the terms of PyNN."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from spikeformer.hardware.ir.graph import Arrays, Population, SpikeGraph
from spikeformer.hardware.ir.operators import Array
from spikeformer.hardware.targets.exchange import pack_sparse
from spikeformer.hardware.targets.spinnaker.worker.network import BIAS

SETTLED = 37
"""Time constants after which a current is below the precision of its largest value."""
FADING = 10
"""Time constants for which a current may let neurons fire behind a sample's end."""


def network_job(
    graph: SpikeGraph, inputs: Arrays, *, late_currents: bool = False
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return arrays and settings that describe a graph and its samples.

    Args:
        graph: The network.
        inputs: Arrays of its sources.
        late_currents: Whether membranes have a current that lasts a step late, as in NEST. What
            arrives at such neurons then comes a step earlier than the graph says, which is a step
            deeper; and as NEST cannot clear currents, samples wait for them to fade.

    Before its window and after it, a population has no input at all, so that it stays silent:
    biases come as spikes of a source that fires in the window only. Currents that come with the
    sample are switched on and off.
    """
    arrays: dict[str, Array] = {}
    projections: list[dict[str, Any]] = []
    lasting: set[str] = set()
    if late_currents:
        graph = _deeper(graph)
        lasting = {p.name for p in graph.neurons if p.current_decay}
    currents = graph.currents(inputs)
    driven = [p for p in graph.neurons if p.name in currents and is_switched(graph, p)]
    biased = [p for p in graph.neurons if p.name in currents and p not in driven]
    for projection in graph.synapses:
        name = f"synapses/{len(projections)}"
        arrays |= pack_sparse(name, projection.operator.matrix())
        ends = {"source": projection.source, "target": projection.target}
        delay = projection.delay - (projection.target in lasting)
        projections.append({"name": name, "delay": delay, **ends})
    for number, population in enumerate(biased):
        name = f"synapses/{len(projections)}"
        arrays |= pack_sparse(name, _bias_weights(population, number, len(biased)))
        ends = {"source": BIAS, "target": population.name}
        projections.append({"name": name, "delay": 1, **ends})
    arrays |= {f"currents/{p.name}": currents[p.name] for p in driven}
    trains = [p.name for p in graph.sources if p.kind == "spikes"]
    arrays |= {f"spikes/{name}": inputs[name] for name in trains}
    settings = {
        "timesteps": graph.timesteps,
        # Until the last spike has arrived, and currents have faded that cannot be cleared.
        "latency": graph.latency + graph.lag + (_fading(graph) if late_currents else 0),
        "late_currents": late_currents,
        "samples": len(next(iter(inputs.values()))),
        "max_delay": max((p["delay"] for p in projections), default=1),
        "neurons": [
            {
                "name": p.name,
                "size": p.size,
                "decay": p.decay,
                "current_decay": p.current_decay,
                "threshold": p.threshold,
                "depth": p.depth,
                "summed_weights": summed_weights(graph, p),
            }
            for p in graph.neurons
        ],
        "sources": trains,
        "biased": [{"name": p.name, "depth": p.depth - (p.name in lasting)} for p in biased],
        "driven": [{"name": p.name, "depth": p.depth} for p in driven],
        "projections": projections,
    }
    return arrays, settings


def _deeper(graph: SpikeGraph) -> SpikeGraph:
    """Return a graph that computes the same spikes, with a step more before currents that last."""
    if not any(p.current_decay for p in graph.neurons):
        return graph
    populations = dict(graph.populations)
    projections = []
    for name, population in graph.populations.items():
        incoming = [p for p in graph.incoming(name) if p.delay]
        depth = max((populations[p.source].depth + 1 for p in incoming), default=population.depth)
        depth += 1 if population.current_decay else 0
        populations[name] = replace(population, depth=depth)
        for p in graph.incoming(name):
            delay = depth - populations[p.source].depth + p.lag if p.delay else 0
            projections.append(replace(p, delay=delay))
    return replace(graph, populations=populations, projections=tuple(projections))


def _fading(graph: SpikeGraph) -> int:
    """Return the steps after which currents of a sample are as good as zero."""
    decays = [p.current_decay for p in graph.neurons if p.current_decay]
    if not decays:
        return 0
    constant = -1.0 / math.log(max(decays))
    return math.ceil(constant * (SETTLED + FADING * len(decays)))


def summed_weights(graph: SpikeGraph, population: Population) -> tuple[float, float]:
    """Return the largest sums of a neuron's excitatory and inhibitory weights, biases included."""
    found = []
    for sign in (1, -1):
        total = np.zeros(population.size)
        for projection in graph.incoming(population.name):
            if graph.populations[projection.source].kind != "values":
                total += (projection.operator.matrix() * sign).maximum(0).sum(axis=1)
        if population.bias is not None and not is_switched(graph, population):
            total += np.maximum(population.bias * sign, 0)
        found.append(float(total.max(initial=0.0)))
    return found[0], found[1]


def is_switched(graph: SpikeGraph, population: Population) -> bool:
    """Tell whether a population's current comes with the sample, or from the first step on."""
    kinds = {graph.populations[p.source].kind for p in graph.incoming(population.name)}
    return "values" in kinds or population.depth == 0


def _bias_weights(population: Population, number: int, count: int) -> sparse.csr_array:
    assert population.bias is not None
    row = np.arange(population.size)
    column = np.full(population.size, number)
    shape = (population.size, count)
    weights = sparse.csr_array((population.bias, (row, column)), shape)
    weights.eliminate_zeros()
    return weights
