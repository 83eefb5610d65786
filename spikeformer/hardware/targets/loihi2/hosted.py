"""A converted network as a job for Lava: neurons side by side, and the host's functions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from spikeformer.hardware.ir.graph import Arrays
from spikeformer.hardware.ir.hosted import HostedGraph
from spikeformer.hardware.ir.operators import Array
from spikeformer.hardware.targets.loihi2.network import Job, pack_synapses, places
from spikeformer.hardware.targets.toolchain import WorkerResult


def hosted_job(graph: HostedGraph, inputs: Arrays) -> Job:
    """Return the job that runs a converted network, in the numbers of its graph.

    Args:
        graph: The network.
        inputs: Arrays of its sources, (samples, size).
    """
    chip = graph.differential
    samples = len(next(iter(inputs.values())))
    arrays: dict[str, Array] = {
        "unit": np.concatenate([p.unit for p in chip]),
        "start": np.concatenate([p.start for p in chip]),
        "scale": np.concatenate([p.scale for p in chip]),
        "starts": np.repeat([p.depth for p in chip], [p.size for p in chip]),
        "sums": np.repeat([int(p.rule == "sum") for p in chip], [p.size for p in chip]),
    }
    arrays |= {f"constants/{name}": array for name, array in graph.constants.items()}
    for source in graph.sources:
        shaped = inputs[source.name].reshape(samples, *source.shape)
        arrays[f"inputs/{source.name}"] = shaped.astype(np.float64)
    synapses, groups = pack_synapses(graph, {"neurons": graph.neurons})
    for group, projection in zip(groups, graph.synapses, strict=True):
        group["changes"] = graph.populations[projection.source].rule == "change"
    arrays |= synapses
    where = places(graph.neurons)
    settings: dict[str, object] = {
        "form": "hosted",
        "arithmetic": "fixed_pt" if graph.scheme.max_state else "floating_pt",
        "timesteps": graph.timesteps,
        "samples": samples,
        "steps": samples * graph.timesteps + graph.depth,
        "scheme": asdict(graph.scheme),
        "functions": [asdict(function) for function in graph.functions],
        "populations": [
            {"name": p.name, "size": p.size, "depth": p.depth, "source": p.source} for p in chip
        ],
        "synapses": groups,
        "computing": [
            {"function": p.function, "first": where[p.name].start, "last": where[p.name].stop}
            for p in chip
            if p.rule == "change"
        ],
    }
    return Job(arrays, settings)


def split_events(result: WorkerResult[Any], graph: HostedGraph, samples: int) -> dict[str, Array]:
    """Return what each population sent in its own time, (samples, timesteps, size).

    Events are int32; sums and changes are float64, or int32 in integers.

    Raises:
        ToolchainError: The result holds something else.
    """
    steps = samples * graph.timesteps
    shape = (steps + graph.depth, graph.num_neurons)
    recorded = result.arrays.get("events")
    if recorded is None or recorded.shape != shape or not np.isfinite(recorded).all():
        raise result.refusal(f"expected events of shape {shape}")
    found = {}
    for p in graph.differential:
        mine = recorded[p.depth : p.depth + steps, places(graph.neurons)[p.name]]
        mine = mine.reshape(samples, graph.timesteps, -1)
        real = p.rule != "differential" and not graph.scheme.max_state
        largest = graph.scheme.largest if p.rule == "differential" else np.inf
        if not real and ((mine != np.rint(mine)).any() or np.abs(mine).max(initial=0) > largest):
            raise result.refusal(f"{p.name} sent what is no event")
        found[p.name] = mine if real else mine.astype(np.int32)
    return found
