"""A spike graph as one block of neurons, the way Lava simulates it fastest.

All populations stand side by side, in the order of the graph. In the form "block" so do copies of
the network, its lanes: each takes a part of the samples, one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from spikeformer.hardware.ir.graph import Arrays, Population, SpikeGraph
from spikeformer.hardware.ir.integers import IntegerGraph
from spikeformer.hardware.ir.operators import Array
from spikeformer.hardware.targets.exchange import pack_sparse

LANES = 8
"""Most copies of a network in a block: with more, products of its weights take as long again."""
MEMORYLESS = 4095
"""Decay of the current in integers with which none of it is left after a step."""


@dataclass(frozen=True)
class Job:
    """What the worker `lava` is given."""

    arrays: dict[str, Array]
    settings: dict[str, Any]


def places(populations: list[Population]) -> dict[str, slice]:
    """Return where each population stands in a row of all of them."""
    ends = np.cumsum([population.size for population in populations]).tolist()
    return {p.name: slice(end - p.size, end) for p, end in zip(populations, ends, strict=True)}


def windows(graph: SpikeGraph) -> int:
    """Return how many windows a sample takes: its own, and silent ones until nothing is under way.

    Spikes that arrive after their sample's end would be a part of the next.
    """
    return 1 + ceil(graph.lag / graph.timesteps)


def split(recorded: Array, graph: SpikeGraph, samples: int) -> dict[str, Array]:
    """Return what each population fired in its own time, (samples, timesteps, size).

    Args:
        recorded: Spikes of all neurons side by side, (lanes, steps, neurons).
        graph: The network.
        samples: Number of samples that passed through.
    """
    found = {}
    end = recorded.shape[1] - graph.depth
    for population, where in zip(graph.neurons, places(graph.neurons).values(), strict=True):
        spikes = recorded[:, population.depth : population.depth + end, where]
        spikes = spikes.reshape(-1, graph.timesteps, population.size)
        found[population.name] = spikes[:: windows(graph)][:samples]
    return found


def float_job(graph: SpikeGraph, inputs: Arrays, form: str = "block") -> Job:
    """Return the job that runs a graph in floating point.

    Lava fires above the threshold, not at it, and is handed the number just below; neurons that
    count are ours and take the threshold itself.
    """
    neurons = graph.neurons
    arrays = {
        "du": _spread(neurons, {p.name: 1.0 - p.current_decay for p in neurons}),
        "dv": _spread(neurons, {p.name: 1.0 - p.decay for p in neurons}),
        "vth": _spread(neurons, {p.name: _float_threshold(p) for p in neurons}),
        "bias_exp": np.zeros(graph.num_neurons),
    }
    currents = graph.currents(inputs)
    settings = {"form": form, "arithmetic": "floating_pt"}
    return _job(graph, inputs, currents, arrays, settings)


def integer_job(compiled: IntegerGraph, inputs: Arrays, form: str = "block") -> Job:
    """Return the job that runs a graph in Loihi 2's integers.

    Args:
        compiled: The network.
        inputs: Arrays of its sources.
        form: "block", "layers" with Lava's own processes for each population, or "chip", the same
            with spikes that cross between host and chip.
    """
    neurons, parameters = compiled.graph.neurons, compiled.neurons
    decays = {name: MEMORYLESS if n.du is None else n.du for name, n in parameters.items()}
    arrays = {
        "du": _spread(neurons, decays),
        "dv": _spread(neurons, {p.name: parameters[p.name].dv for p in neurons}),
        "vth": _spread(neurons, {p.name: parameters[p.name].vth for p in neurons}),
        "bias_exp": _spread(neurons, {p.name: parameters[p.name].bias_exp for p in neurons}),
    }
    currents = compiled.currents(inputs)
    settings = {"form": form, "arithmetic": "fixed_pt"}
    return _job(compiled.graph, inputs, currents, arrays, settings)


def _float_threshold(population: Population) -> float:
    threshold = population.threshold
    return threshold if population.graded else float(np.nextafter(threshold, -np.inf))


def _levels(population: Population) -> int:
    """Return how the worker's neurons fire: at a threshold, 0; counts, D; minima, -D."""
    signs = {"threshold": 0, "count": 1, "minimum": -1}
    return signs[population.rule] * population.levels


def _spread(neurons: list[Population], values: Mapping[str, float]) -> Array:
    """Return the value of each neuron's population."""
    return np.repeat([values[p.name] for p in neurons], [p.size for p in neurons])


def _job(
    graph: SpikeGraph,
    inputs: Arrays,
    currents: Arrays,
    arrays: dict[str, Array],
    settings: dict[str, Any],
) -> Job:
    where = places(graph.neurons)
    samples = len(next(iter(inputs.values())))
    lanes = min(LANES, samples) if settings["form"] == "block" else 1
    in_lane = ceil(samples / lanes) * windows(graph)
    arrays["starts"] = _spread(graph.neurons, {p.name: p.depth for p in graph.neurons})
    if any(population.graded for population in graph.neurons):
        arrays["levels"] = _spread(graph.neurons, {p.name: _levels(p) for p in graph.neurons})
    arrays["bias_mant"] = np.zeros(graph.num_neurons, arrays["dv"].dtype)
    # Biases end with a sample, too, where a silent window follows; and Lava's go to the membrane,
    # not to a current that lasts.
    with_sample = [
        name
        for name in currents
        if _changes(graph, name) or graph.lag or graph.populations[name].current_decay
    ]
    for name in currents.keys() - set(with_sample):
        arrays["bias_mant"][where[name]] = currents[name][0]
    if with_sample:
        together = np.concatenate([currents[name] for name in with_sample], axis=1)
        arrays["currents"] = _with_silence(together, graph)
        arrays["currents_places"] = np.concatenate(
            [np.arange(where[name].start, where[name].stop) for name in with_sample]
        )
    trains = [population for population in graph.sources if population.kind == "spikes"]
    if trains:
        dtype = arrays["dv"].dtype
        together = np.concatenate([inputs[p.name] for p in trains], axis=2).astype(dtype)
        arrays["spikes"] = _with_silence(together, graph)
        arrays["spikes_starts"] = _spread(trains, {p.name: p.depth for p in trains})
    synapses, groups = pack_synapses(graph, {"neurons": graph.neurons, "spikes": trains})
    arrays |= synapses
    settings |= {
        "lanes": lanes,
        "windows": in_lane,
        "neurons": [population.size for population in graph.neurons],
        "spikes": [population.size for population in trains],
        "timesteps": graph.timesteps,
        "steps": in_lane * graph.timesteps + graph.depth,
        "synapses": groups,
    }
    return Job(arrays, settings)


def _with_silence(samples: Array, graph: SpikeGraph) -> Array:
    """Return samples with silent windows behind each, where spikes are under way after its end."""
    count = windows(graph)
    if count == 1:
        return samples
    spread = np.zeros((len(samples) * count, *samples.shape[1:]), samples.dtype)
    spread[::count] = samples
    return spread


def _changes(graph: SpikeGraph, name: str) -> bool:
    """Tell whether a population's current comes with the sample."""
    return any(graph.populations[p.source].kind == "values" for p in graph.incoming(name))


def pack_synapses(
    graph: SpikeGraph, senders: Mapping[str, list[Population]]
) -> tuple[dict[str, Array], list[dict[str, object]]]:
    """Return all synapses as arrays of a job, and what its settings say of each projection.

    Args:
        graph: The network.
        senders: Populations that stand side by side, by the name of what sends for them.
    """
    arrays: dict[str, Array] = {}
    groups: list[dict[str, object]] = []
    targets = places(graph.neurons)
    for sender, populations in senders.items():
        sources = places(populations)
        for projection in graph.synapses:
            if projection.source in sources:
                name = f"synapses/{len(groups)}"
                arrays |= pack_sparse(name, projection.operator.matrix())
                groups.append(
                    {
                        "name": name,
                        "sender": sender,
                        "first_sender": sources[projection.source].start,
                        "first_receiver": targets[projection.target].start,
                        "delay": projection.delay,
                    }
                )
    return arrays, groups
