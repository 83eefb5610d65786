"""What a compiled network uses of its target, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikeformer.hardware.deployer import HardwareModel
from spikeformer.hardware.ir.graph import Arrays, Population
from spikeformer.hardware.ir.hosted import Differential, HostedGraph
from spikeformer.hardware.ir.integers import NumberFormat
from spikeformer.hardware.ir.quantisation import rounding_error
from spikeformer.hardware.targets.simulation.simulate import Extremes


def layer_table(compiled: HardwareModel) -> list[dict[str, Any]]:
    """Return a row for every population: neurons, synapses, cores, memory, ranges used.

    Each row holds `layer`, `neurons`, `synapses`, `delay_steps` (its longest) and `depth`; with a
    placement `cores` and `synapse_bytes`; with integers `weights` (smallest and largest),
    `threshold`, `decay` and `rounding_error` (root mean square, in thresholds).
    """
    errors = {}
    if compiled.integers and not isinstance(compiled.graph, HostedGraph):
        errors = rounding_error(compiled.graph, compiled.integers)
    return [
        {
            **_size(compiled, population),
            **_cores(compiled, population),
            **_integers(compiled, population, errors),
        }
        for population in compiled.graph.neurons
    ]


def _size(compiled: HardwareModel, population: Population) -> dict[str, Any]:
    graph = compiled.graph
    synapses = [
        p for p in graph.incoming(population.name) if graph.populations[p.source].kind != "values"
    ]
    return {
        "layer": population.name,
        "neurons": population.size,
        "synapses": sum(p.operator.num_synapses for p in synapses),
        "delay_steps": max((p.delay for p in synapses), default=0),
        "depth": population.depth,
    }


def _cores(compiled: HardwareModel, population: Population) -> dict[str, Any]:
    if compiled.placement is None:
        return {}
    cores = compiled.placement.cores_of(population.name)
    return {"cores": len(cores), "synapse_bytes": sum(core.synapse_bytes for core in cores)}


def _integers(
    compiled: HardwareModel, population: Population, errors: Mapping[str, float]
) -> dict[str, Any]:
    if compiled.integers is None:
        return {}
    graph = compiled.integers.graph
    converted = graph.populations[population.name]
    weights = [
        p.operator.weights
        for p in graph.incoming(population.name)
        if graph.populations[p.source].kind != "values" and p.operator.weights.size
    ]
    extremes = (
        min((int(w.min()) for w in weights), default=0),
        max((int(w.max()) for w in weights), default=0),
    )
    if isinstance(converted, Differential):
        return {"weights": extremes}
    neurons = compiled.integers.neurons[population.name]
    return {
        "weights": extremes,
        "threshold": neurons.vth,
        "decay": neurons.dv,
        "rounding_error": errors[population.name],
    }


def activity(compiled: HardwareModel, spikes: Arrays) -> dict[str, dict[str, float]]:
    """Return `firing_rate` of every population by name."""
    return {
        population.name: {
            "firing_rate": float(population.counted(spikes[population.name]).sum())
            / (spikes[population.name].size * population.levels)
        }
        for population in compiled.graph.neurons
    }


def state_ranges(
    extremes: Mapping[str, Extremes], numbers: NumberFormat
) -> dict[str, dict[str, Any]]:
    """Return by population `state`, the extremes of the membrane in weight units, and `clipped`.

    `state_used` is the share of the membrane's range that the larger of them took.
    """
    unit = 1 << numbers.weight_shift
    return {
        name: {
            "state": (found.low / unit, found.high / unit),
            "state_used": max(-found.low, found.high) / numbers.max_state,
            "clipped": found.clipped,
        }
        for name, found in extremes.items()
    }
