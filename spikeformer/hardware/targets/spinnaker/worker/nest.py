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

FIRST_TICK = 3
"""Where the first sample begins: NEST starts at tick 1, and PyNN runs ahead by one at the start."""
PICO = 1e3
"""NEST's currents are in pA, PyNN's in nA."""


class OneCall(sim.FromListConnector):
    """Connects a list with one call, where PyNN makes one for each neuron: 20 times as fast."""

    def connect(self, projection: Any) -> None:
        """Create the connections of a projection."""
        ends = [
            first_cell(population) + self.conn_list[:, column].astype(int)
            for column, population in enumerate((projection.pre, projection.post))
        ]
        lasting = isinstance(projection.post.celltype, sim.IF_curr_exp)
        synapses = {
            # PyNN's own has a label for each synapse, and takes half as much memory again.
            "synapse_model": "static_synapse",
            # Currents are in pA, those of PyNN in nA; jumps of a membrane in mV for both.
            "weight": self.conn_list[:, 2] * (1000.0 if lasting else 1.0),
            "delay": self.conn_list[:, 3],
        }
        nest.Connect(*ends, "one_to_one", synapses)


class NestNetwork(Network):
    """A network in NEST, which is asked at once for what PyNN asks for neuron by neuron."""

    def connector(self, synapses: Array) -> OneCall:
        """Return what connects rows of sender, receiver, weight and delay."""
        return OneCall(synapses, column_names=("weight", "delay"))

    def record(self, population: Any) -> None:
        """Leave it to the recorder of all neurons."""

    def set_current(self, population: Any, current: Array | float) -> None:
        """Set the constant currents of a population, from now on."""
        currents = np.atleast_1d(current) * PICO
        set_cells(population.node_collection, [{"I_e": each} for each in currents.tolist()])


def set_cells(cells: Any, values: list[dict[str, float]]) -> None:
    """Do what `cells.set` does; that asks every cell where it lives first, which takes longer."""
    nest.ll_api.nestkernel.llapi_set_nc_status(cells._datum, values)


def first_cell(population: Any) -> int:
    """Return NEST's number of a population's first cell; the others follow it."""
    return int(population.all_cells[0])


def execute(network: Network, begins: Array) -> dict[str, Array]:
    """Run all samples and return the spikes of each population, (samples, timesteps, size)."""
    firsts = {neurons["name"]: first_cell(population) for neurons, population in network.neurons()}
    cells = [firsts[n["name"]] + np.arange(n["size"]) for n in network.settings["neurons"]]
    everything = nest.NodeCollection(np.concatenate(cells))
    recorder = nest.Create("spike_recorder")
    nest.Connect(everything, recorder)
    sim.run(1.0)
    for sample in range(len(begins)):
        # The network is silent by now, as nothing comes in and what is left of a membrane decays;
        # it only has to be cleared. PyNN's `initialize` does not reach this cell's membrane.
        set_cells(everything, [{"V_m": 0.0}])
        network.run_sample(sample, switch_off=True)
    sim.run(1.0)  # what was fired last reaches the recorder a tick later
    events = recorder.get("events")
    order = np.argsort(events["senders"], kind="stable")
    senders, ticks = events["senders"][order], np.rint(events["times"][order]).astype(int)
    found = {}
    for neurons, _ in network.neurons():
        first = firsts[neurons["name"]]
        mine = slice(*np.searchsorted(senders, (first, first + neurons["size"])))
        found[neurons["name"]] = windows(
            senders[mine] - first, ticks[mine], neurons, begins, network.settings
        )
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
    network = NestNetwork(sim, arrays, settings)
    describe(network, begins)
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
