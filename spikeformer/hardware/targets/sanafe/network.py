"""What the worker for SANA-FE is given: a spike graph in the terms of its simulator."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware.ir.cores import ChipLimits, Placement
from spikeformer.hardware.ir.graph import Arrays, Population, SpikeGraph
from spikeformer.hardware.ir.operators import Array
from spikeformer.hardware.ir.relays import with_relays
from spikeformer.hardware.targets.exchange import pack_sparse
from spikeformer.i18n import t

UNIT = 2.0**16
"""SANA-FE keeps membranes in 64ths, so a network in these units loses next to nothing."""


def relays(graph: SpikeGraph) -> list[Population]:
    """Return the populations that pass on spikes which take several steps.

    SANA-FE 2.2.9 has delays and loses spikes in them.
    """
    passing = with_relays(graph, 1).populations
    return [p for name, p in passing.items() if name not in graph.populations]


def num_cores(graph: SpikeGraph, placement: Placement, limits: ChipLimits) -> int:
    """Return the cores that a graph takes, those of its inputs and relays included.

    Raises:
        HardwareCompatibilityError: The chip has not so many.
    """
    trains = [p.size for p in graph.sources if p.kind == "spikes"]
    sizes = (*trains, *(relay.size for relay in relays(graph)))
    others = sum(-(-size // limits.neurons_per_core) for size in sizes)
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
    relayed = with_relays(graph, 1)
    for population in relayed.neurons:
        own = population.name in graph.populations
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
                "depth": population.depth if own else None,
                "cores": [
                    (core.core, core.first, core.neurons)
                    for core in placement.cores_of(population.name)
                ]
                if own
                else None,
            }
        )
    projections: list[dict[str, Any]] = []

    for projection in relayed.synapses:
        name = f"synapses/{len(projections)}"
        arrays.update(pack_sparse(name, sparse.csr_array(projection.operator.matrix() * UNIT)))
        projections.append({"name": name, "source": projection.source, "target": projection.target})
    settings = {
        "timesteps": graph.timesteps,
        "depth": graph.depth,
        "samples": len(next(iter(inputs.values()))),
        "groups": groups,
        "projections": projections,
    }
    return arrays, settings
