"""The whole network as one process of neurons: the fastest form in simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.process.process import AbstractProcess
from lava.utils.weightutils import SignMode

from spikeformer.hardware.targets.exchange import Array, unpack_sparse

from .processes import (
    MESSAGE_BITS,
    GradedNeurons,
    GradedSynapses,
    Neurons,
    Recorder,
    Samples,
    Synapses,
)

RECORD = "spikes.npy"


def build_block(arrays: dict[str, Array], settings: dict[str, Any]) -> AbstractProcess:
    """Connect the processes of a job and return one of them."""
    timesteps = settings["timesteps"]
    # Graded spikes take processes of ours; what fires 0 and 1 runs in Lava's own.
    graded = "levels" in arrays
    neurons = (GradedNeurons if graded else Neurons)(
        du=arrays["du"],
        dv=arrays["dv"],
        vth=arrays["vth"],
        bias_mant=arrays["bias_mant"],
        bias_exp=arrays["bias_exp"],
        starts=arrays["starts"],
        timesteps=timesteps,
        levels=arrays.get("levels"),
    )
    size = len(arrays["dv"])
    recorder = Recorder(size=size, steps=settings["steps"], path=RECORD)
    neurons.s_out.connect(recorder.a_in)
    senders: dict[str, Any] = {"neurons": neurons}
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
        synapses = (GradedSynapses if graded else Synapses)(
            num_message_bits=MESSAGE_BITS if graded else 0,
            weights=unpack_sparse(f"{group['name']}/weights", arrays),
            delays=unpack_sparse(f"{group['name']}/delays", arrays),
            sign_mode=SignMode[group["signs"]],
        )
        senders[group["source"]].s_out.connect(synapses.s_in)
        synapses.a_out.connect(neurons.a_in)
    return neurons


def read_block() -> Array:
    """Return what was recorded, uint8 (steps, neurons)."""
    spikes: Array = np.load(RECORD, allow_pickle=False)
    return spikes
