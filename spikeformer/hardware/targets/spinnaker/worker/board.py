"""Runs samples on a SpiNNaker board and records every spike.

Each sample is a run of its own from a reset board: sPyNNaker clears membranes and spikes under way.
On a virtual board all of this happens but the running, and no spikes come back.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from spikeformer.hardware.targets.exchange import Array, read_job, write_result

from .machine import FIRST_TICK, describe_mapping, set_up
from .network import Network, windows


def run_sample(network: Network, sample: int) -> dict[str, Array]:
    """Run one sample and return the spikes of each population, (1, timesteps, size)."""
    begins = np.array([FIRST_TICK])
    for name in network.settings["sources"]:
        set_spike_times(network.populations[name], network.spike_times(name, begins, sample))
    network.run_sample(sample, switch_off=False)
    found: dict[str, Array] = {}
    for neurons, population in network.neurons():
        neuron, tick = population.spinnaker_get_data("spikes").astype(int).reshape(-1, 2).T
        found[neurons["name"]] = windows(neuron, tick, neurons, begins, network.settings)
    return found


def set_spike_times(population: Any, times: list[list[float]]) -> None:
    """Do what `population.set(spike_times=times)` should do; in sPyNNaker 7.4.1 it fails."""
    ticks = np.empty(len(times), dtype=object)
    ticks[:] = [np.array(train, np.int64) for train in times]
    population._vertex.send_buffer_times = ticks


def main() -> None:
    """Do the job in the current folder."""
    arrays, settings = read_job()
    began = time.perf_counter()
    network = set_up(arrays, settings)
    parts = []
    for sample in range(settings["samples"]):
        if sample:
            network.sim.reset()
        parts.append(run_sample(network, sample))
    facts: dict[str, Any] = describe_mapping(network) | {"seconds": time.perf_counter() - began}
    network.sim.end()
    names = [neurons["name"] for neurons in settings["neurons"]]
    spikes = {f"spikes/{name}": np.concatenate([part[name] for part in parts]) for name in names}
    write_result(spikes, facts)


if __name__ == "__main__":
    main()
