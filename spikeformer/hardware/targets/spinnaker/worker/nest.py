"""Executes a network with NEST, sample after sample, and records every spike."""

from __future__ import annotations

import os
import time
from importlib.metadata import version
from typing import Any

import numpy as np

from spikeformer.hardware.targets.exchange import Array, read_job, write_result

from .network import Network, describe, windows

# PyNN compiles extensions for NEST, unused here, if it finds the tools.
os.environ["PATH"] = ""
import nest
import pyNN.nest as sim


def first_cell(population: Any) -> int:
    """Return NEST's number of a population's first cell; the others follow it."""
    return int(population.all_cells[0])


class OneCall(sim.FromListConnector):
    """Connects a list with one call, where PyNN makes one for each neuron: 20 times as fast."""

    def connect(self, projection: Any) -> None:
        """Create the connections of a projection."""
        ends = [
            first_cell(population) + self.conn_list[:, column].astype(int)
            for column, population in enumerate((projection.pre, projection.post))
        ]
        synapses = {
            "synapse_model": projection.nest_synapse_model,
            "weight": self.conn_list[:, 2],
            "delay": self.conn_list[:, 3],
        }
        nest.Connect(*ends, "one_to_one", synapses)


FIRST_TICK = 3
"""Where the first sample begins: NEST starts at tick 1, and PyNN runs ahead by one at the start."""


def execute(network: Network, begins: Array) -> dict[str, Array]:
    """Run all samples and return the spikes of each population, (samples, timesteps, size)."""
    cells = np.concatenate(
        [
            first_cell(population) + np.arange(neurons["size"])
            for neurons, population in network.neurons()
        ]
    )
    everything = nest.NodeCollection(cells)
    sim.run(1.0)
    for sample in range(len(begins)):
        # The network is silent by now, as nothing comes in and what is left of a membrane decays;
        # it only has to be cleared. PyNN's `initialize` does not reach this cell's membrane, and
        # NEST's `set` asks every cell where it lives first, which takes longer than the sample.
        nest.ll_api.nestkernel.llapi_set_nc_status(everything._datum, [{"V_m": 0.0}])
        network.run_sample(sample, switch_off=True)
    sim.run(1.0)  # PyNN gives out what lies before the end
    found = {}
    for neurons, population in network.neurons():
        trains = population.get_data("spikes").segments[0].spiketrains
        channels, ticks = trains.multiplexed
        neuron = np.asarray(channels, int) - first_cell(population)  # none are floats
        tick = np.rint(np.asarray(ticks)).astype(int)
        found[neurons["name"]] = windows(neuron, tick, neurons, begins, network.settings)
    return found


def main() -> None:
    """Do the job in the current folder."""
    arrays, settings = read_job()
    began = time.perf_counter()
    sim.setup(
        timestep=1.0,
        min_delay=1.0,
        max_delay=settings["max_delay"],
        spike_precision="on_grid",
    )
    begins = FIRST_TICK + settings["latency"] * np.arange(settings["samples"])
    network = describe(sim, arrays, settings, begins, OneCall)
    built = time.perf_counter()
    spikes = execute(network, begins)
    facts = {
        "nest": version("nest-simulator"),
        "pynn": version("PyNN"),
        "seconds_to_build": built - began,
        "seconds_to_run": time.perf_counter() - built,
    }
    write_result({f"spikes/{name}": found for name, found in spikes.items()}, facts)


if __name__ == "__main__":
    main()
