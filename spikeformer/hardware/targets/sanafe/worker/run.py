"""Runs a network on SANA-FE's Loihi and records its spikes, its energy and its time.

`spikeformer.hardware.targets.sanafe.network` makes the job.
"""

from __future__ import annotations

from importlib.metadata import version
from itertools import pairwise
from typing import Any

import numpy as np
import sanafe
from scipy import sparse

from spikeformer.hardware.targets.exchange import Array, read_job, unpack_sparse, write_result

NEURONS_PER_CORE = 1024


def build(arrays: dict[str, Array], settings: dict[str, Any]) -> Any:
    """Return the chip with the network on it."""
    chip = sanafe.load_loihi()
    cores = [core for tile in chip.tiles for core in tile.cores]
    taken = [core for group in settings["groups"] for core, *_ in group.get("cores") or ()]
    free = iter(cores[max(taken, default=-1) + 1 :])
    network = sanafe.Network()
    groups = {}
    for group in settings["groups"]:
        made = groups[group["name"]] = _group(network, group)
        neurons = made.neurons
        if group.get("cores"):
            for core, first, count in group["cores"]:
                for neuron in range(first, first + count):
                    neurons[neuron].map_to_core(cores[core])
            continue
        for first in range(0, group["size"], NEURONS_PER_CORE):
            core = next(free)
            for place, neuron in enumerate(range(group["size"])[first : first + NEURONS_PER_CORE]):
                if group["kind"] == "spikes":
                    unit = f"loihi_inputs[{place}]"
                    neurons[neuron].set_attributes(
                        soma_hw_name=unit, model_attributes={"spikes": [False]}
                    )
                neurons[neuron].map_to_core(core)
    for projection in settings["projections"]:
        weights = sparse.coo_array(unpack_sparse(projection["name"], arrays))
        if weights.nnz:
            groups[projection["source"]].connect_neurons_sparse(
                groups[projection["target"]],
                {"weight": weights.data.tolist()},
                list(zip(weights.col.tolist(), weights.row.tolist(), strict=True)),
            )
    simulated = sanafe.SpikingChip(chip)
    simulated.load(network)
    return simulated


def _group(network: Any, group: dict[str, Any]) -> Any:
    if group["kind"] == "spikes":
        return network.create_neuron_group(group["name"], group["size"])
    attributes = {
        "threshold": group["threshold"],
        "leak_decay": group["decay"],
        "reset": 0.0,
        "reset_mode": "hard",
    }
    return network.create_neuron_group(
        group["name"],
        group["size"],
        soma_hw_name="loihi_lif",
        default_synapse_hw_name="loihi_sparse_synapse",
        log_spikes=group["depth"] is not None,
        model_attributes=attributes,
    )


def execute(
    arrays: dict[str, Array], settings: dict[str, Any]
) -> tuple[dict[str, Array], dict[str, float], float]:
    """Return spikes by population, energy by part in J and time in s, of all samples."""
    chip, steps = build(arrays, settings), settings["timesteps"]
    mapped = chip.mapped_neuron_groups
    total = settings["depth"] + steps
    recorded = {g["name"]: g for g in settings["groups"] if g.get("depth") is not None}
    spikes = {
        name: np.zeros((settings["samples"], total + 1, group["size"]), np.uint8)
        for name, group in recorded.items()
    }
    # Currents are on in a population's own window, so that each sample finds it at rest.
    driven = {name: g["depth"] for name, g in recorded.items() if f"currents/{name}" in arrays}
    edges = {0, total, *driven.values(), *(depth + steps for depth in driven.values())}
    energy: dict[str, float] = {}
    seconds = 0.0
    for sample in range(settings["samples"]):
        chip.reset()
        for name in (g["name"] for g in settings["groups"] if g["kind"] == "spikes"):
            for neuron, train in zip(mapped[name], arrays[f"spikes/{name}"][sample].T, strict=True):
                neuron.set_attributes(model_attributes={"spikes": train.astype(bool).tolist()})
        for begin, end in pairwise(sorted(edges)):
            for name, depth in driven.items():
                currents = arrays[f"currents/{name}"][sample]
                if begin == depth:
                    _set_bias(mapped[name], currents)
                elif begin == depth + steps:
                    _set_bias(mapped[name], np.zeros_like(currents))
            found = chip.sim(end - begin, spike_trace=True)
            for step, addresses in enumerate(found["spike_trace"], begin):
                for address in addresses:
                    if address.group_name in spikes:
                        spikes[address.group_name][sample, step, address.neuron_offset] = 1
            for part, joules in found["energy"].items():
                energy[part] = energy.get(part, 0.0) + joules
            seconds += found["sim_time"]
        for name in driven:
            _set_bias(mapped[name], np.zeros_like(arrays[f"currents/{name}"][sample]))
    own = {name: x[:, recorded[name]["depth"] :][:, :steps] for name, x in spikes.items()}
    return own, energy, seconds


def _set_bias(neurons: Any, currents: Array) -> None:
    for neuron, current in zip(neurons, currents.tolist(), strict=True):
        neuron.set_attributes(model_attributes={"bias": current})


def main() -> None:
    """Do the job in the current folder."""
    arrays, settings = read_job()
    spikes, energy, seconds = execute(arrays, settings)
    facts = {"sanafe": version("sanafe"), "energy": energy, "seconds": seconds}
    write_result({f"spikes/{name}": x for name, x in spikes.items()}, facts)


if __name__ == "__main__":
    main()
