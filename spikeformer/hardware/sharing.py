"""What the host of a converted network costs: traffic, latency and energy, all estimates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from spikeformer.hardware.ir.graph import Arrays
from spikeformer.hardware.ir.hosted import HostedGraph
from spikeformer.hardware.ir.runtime import STATIC
from spikeformer.profiling import (
    EnergyEstimate,
    LayerCounts,
    OperationCounts,
    Range,
    dense_layer,
    estimate,
)

MESSAGE_BYTES = 4
"""Of the payload of a graded spike, without its address."""


def host_traffic(graph: HostedGraph, events: Arrays) -> dict[str, float]:
    """Return what crosses between chip and host, and how the work is shared.

    Args:
        graph: The network.
        events: What each population sent, (samples, timesteps, size).

    Returns:
        `chip_share`, the chip's part of a call's multiplications, zeros included;
        `host_bytes_per_timestep`, at most, both ways, payloads of 4 bytes; of a sample the messages
        that the host got; and the latency if the host's part took no steps.
    """
    samples = len(next(iter(events.values())))
    got = sum(int(np.count_nonzero(events[name])) for name in graph.read)
    return {
        "chip_share": graph.chip_share,
        "host_bytes_per_timestep": MESSAGE_BYTES * sum(graph.host_values.values()),
        "messages_to_host_per_sample": got / samples,
        "latency_steps_without_host": graph.depth_without_host + graph.timesteps,
    }


def host_energy(graph: HostedGraph) -> EnergyEstimate:
    """Return the energy of the host's functions for a sample, in digital logic of 45 nm.

    Every multiplication is one in float32 with its memory traffic (`profiling`'s "simulation"). A
    processor spends many times that on instructions, and sending takes energy too: a lower bound.
    """
    host = graph.host()
    nothing = {s.name: np.zeros((1, s.size)) for s in graph.sources}
    values = graph.begin(host, nothing, 0)
    silent = {p.name: np.zeros(p.size) for p in graph.differential}
    layers: list[LayerCounts] = []
    for _, functions in graph.schedule:
        graph.compute(host, functions, values, 1, silent)
    for function in graph.functions:
        steps = 1 if function.depth == STATIC else graph.timesteps
        if macs := host.multiplications.get(function.name, 0):
            taken = sum(np.size(values[name]) for name in function.values)
            layers.append(
                dense_layer(
                    function.name,
                    "matmul",
                    macs=macs * steps,
                    inputs=taken * steps,
                    outputs=np.size(values[function.name]) * steps,
                    weights=0,
                    steps=steps,
                )
            )
    return estimate(OperationCounts(tuple(layers), 1, graph.name))


def with_host(chip: Iterable[EnergyEstimate], host: EnergyEstimate) -> list[EnergyEstimate]:
    """Return estimates of a chip, and behind them each with its host's added."""
    alone = list(chip)
    both = [
        replace(
            each,
            energy_uj=Range.total([each.energy_uj, host.energy_uj]),
            breakdown={**each.breakdown, "host": host.energy_uj},
            layers={**each.layers, **host.layers},
            technology=f"{each.technology} + host",
            source=f"{each.source}; host: {host.source}",
        )
        for each in alone
    ]
    return [*alone, *both]
