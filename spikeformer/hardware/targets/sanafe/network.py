"""What the worker for SANA-FE is given: a spike graph in the terms of its simulator."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from scipy import sparse

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware.ir.graph import Arrays, SpikeGraph
from spikeformer.hardware.ir.operators import Array
from spikeformer.hardware.ir.placement import ChipLimits, Placement
from spikeformer.hardware.targets.exchange import pack_sparse
from spikeformer.i18n import t

UNIT = 2.0**16
"""SANA-FE keeps membranes in 64ths, so a network in these units loses next to nothing."""


def relays(graph: SpikeGraph) -> dict[str, int]:
    """Return how often the spikes of a population are passed on by others, by its name.

    SANA-FE 2.2.9 has delays and loses spikes in them, so a spike that takes several steps goes
    through a relay in each but the last.
    """
    longest: dict[str, int] = defaultdict(int)
    for projection in graph.synapses:
        longest[projection.source] = max(longest[projection.source], projection.delay - 1)
    return {name: steps for name, steps in longest.items() if steps}


def num_cores(graph: SpikeGraph, placement: Placement, limits: ChipLimits) -> int:
    """Return the cores that a graph takes, those of its inputs and relays included.

    Raises:
        HardwareCompatibilityError: The chip has not so many.
    """
    trains = [p.size for p in graph.sources if p.kind == "spikes"]
    passed = [graph.populations[name].size for name, n in relays(graph).items() for _ in range(n)]
    others = sum(-(-size // limits.neurons_per_core) for size in (*trains, *passed))
    total = len(placement.cores) + others
    if total > limits.cores_per_chip:
        raise HardwareCompatibilityError(
            t("hardware.one_chip", cores=total, chip=limits.name, most=limits.cores_per_chip)
        )
    return total


def network_job(
    graph: SpikeGraph, placement: Placement, inputs: Arrays
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return arrays and settings that describe a graph, its cores and its samples."""
    arrays: dict[str, Array] = {}
    groups: list[dict[str, Any]] = []
    for population in graph.sources:
        if population.kind == "spikes":
            arrays[f"spikes/{population.name}"] = inputs[population.name].astype(np.uint8)
            groups.append({"name": population.name, "size": population.size, "kind": "spikes"})
    for name, current in graph.currents(inputs).items():
        arrays[f"currents/{name}"] = current * UNIT
    for population in graph.neurons:
        # It fires above the threshold, not at it, and is handed the number just below; it keeps
        # attributes in single precision.
        threshold = float(np.nextafter(np.float32(population.threshold * UNIT), np.float32(0)))
        groups.append(
            {
                "name": population.name,
                "size": population.size,
                "kind": "lif",
                "decay": population.decay,
                "threshold": threshold,
                "depth": population.depth,
                "cores": [
                    (core.core, core.first, core.neurons)
                    for core in placement.cores_of(population.name)
                ],
            }
        )
    projections: list[dict[str, Any]] = []

    def join(source: str, target: str, weights: sparse.csr_array) -> None:
        name = f"synapses/{len(projections)}"
        arrays.update(pack_sparse(name, weights))
        projections.append({"name": name, "source": source, "target": target})

    for name, steps in relays(graph).items():
        size = graph.populations[name].size
        for step in range(1, steps + 1):
            relay = {"name": _relay(name, step), "size": size, "kind": "lif", "decay": 0.0}
            groups.append({**relay, "threshold": UNIT / 2, "depth": None, "cores": None})
            join(
                _relay(name, step - 1),
                _relay(name, step),
                sparse.csr_array(UNIT * sparse.eye(size)),
            )
    for projection in graph.synapses:
        source = _relay(projection.source, projection.delay - 1)
        weights = sparse.csr_array(projection.operator.matrix() * UNIT)
        join(source, projection.target, weights)
    settings = {
        "timesteps": graph.timesteps,
        "depth": graph.depth,
        "samples": len(next(iter(inputs.values()))),
        "groups": groups,
        "projections": projections,
    }
    return arrays, settings


def _relay(name: str, step: int) -> str:
    return f"{name}/relay{step}" if step else name
