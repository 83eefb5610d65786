"""Runs a network with Lava's simulator of Loihi 2 and records every spike.

All neurons stand side by side; `spikeformer.hardware.loihi2.network` makes the job.
"""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import numpy as np

from ..files import Array, read_job, unpack_sparse, write_result
from . import python311  # noqa: F401

# isort: split
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.utils.weightutils import SignMode

from .processes import Neurons, Recorder, Samples, Synapses


def build(arrays: dict[str, Array], settings: dict[str, Any], record: str) -> Neurons:
    """Connect the processes of a job and return the one that holds the neurons."""
    timesteps = settings["timesteps"]
    neurons = Neurons(
        du=settings["du"],
        dv=arrays["dv"],
        vth=arrays["vth"],
        bias_mant=arrays["bias_mant"],
        bias_exp=arrays["bias_exp"],
        starts=arrays["starts"],
        timesteps=timesteps,
    )
    size = len(arrays["dv"])
    recorder = Recorder(size=size, steps=settings["steps"], path=record)
    neurons.s_out.connect(recorder.a_in)
    senders = {"neurons": neurons}
    if "currents" in arrays:
        currents = Samples(
            data=arrays["currents"],
            places=arrays["currents_places"],
            starts=arrays["starts"][arrays["currents_places"]],
            size=size,
            timesteps=timesteps,
        )
        currents.s_out.connect(neurons.a_in)
    if "spikes" in arrays:
        columns = arrays["spikes"].shape[2]
        senders["spikes"] = Samples(
            data=arrays["spikes"],
            places=np.arange(columns),
            starts=arrays["spikes_starts"],
            size=columns,
            timesteps=timesteps,
        )
    for group in settings["synapses"]:
        synapses = Synapses(
            weights=unpack_sparse(f"{group['name']}/weights", arrays),
            delays=unpack_sparse(f"{group['name']}/delays", arrays),
            sign_mode=SignMode[group["signs"]],
        )
        senders[group["source"]].s_out.connect(synapses.s_in)
        synapses.a_out.connect(neurons.a_in)
    return neurons


def main() -> None:
    """Do the job in the current folder."""
    arrays, settings = read_job()
    began = time.perf_counter()
    network = build(arrays, settings, "spikes.npy")
    try:
        network.run(
            condition=RunSteps(num_steps=settings["steps"]),
            run_cfg=Loihi2SimCfg(select_tag=settings["arithmetic"]),
        )
    finally:
        network.stop()
    spikes = np.load("spikes.npy", allow_pickle=False)
    facts = {"lava": version("lava-nc"), "seconds": time.perf_counter() - began}
    write_result({"spikes": spikes}, facts)


if __name__ == "__main__":
    main()
