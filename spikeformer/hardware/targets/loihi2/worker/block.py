"""The whole network as one process of neurons: the fastest form in simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.process.process import AbstractProcess

from spikeformer.hardware.targets.exchange import Array, unpack_sparse

from .processes import GradedNeurons, Neurons, Part, Recorder, Samples, Synapses

RECORD = "spikes.npy"


def build_block(arrays: dict[str, Array], settings: dict[str, Any]) -> AbstractProcess:
    """Connect the processes of a job and return one of them."""
    timesteps, lanes = settings["timesteps"], settings["lanes"]
    # Graded spikes take neurons of ours; what fires 0 and 1 runs in Lava's own.
    names = ("du", "dv", "vth", "bias_mant", "bias_exp", "starts", "levels")
    vectors = {name: np.repeat(arrays[name], lanes) for name in names if name in arrays}
    kind = GradedNeurons if "levels" in arrays else Neurons
    neurons = kind(timesteps=timesteps, **vectors)
    size = len(arrays["dv"])
    recorder = Recorder(size=size * lanes, steps=settings["steps"], path=RECORD)
    neurons.s_out.connect(recorder.a_in)
    senders: dict[str, Any] = {"neurons": neurons}
    if "currents" in arrays:
        where = arrays["currents_places"]
        currents = _samples(arrays["currents"], where, arrays["starts"][where], size, settings)
        currents.s_out.connect(neurons.a_in)
    if "spikes" in arrays:
        columns = arrays["spikes"].shape[2]
        senders["spikes"] = _samples(
            arrays["spikes"], np.arange(columns), arrays["spikes_starts"], columns, settings
        )
    for sender, parts in synapses_of(arrays, settings).items():
        sizes = (senders[sender].s_out.shape[0] // lanes, size)
        synapses = Synapses(parts=parts, size=sizes, lanes=lanes)
        senders[sender].s_out.connect(synapses.s_in)
        synapses.a_out.connect(neurons.a_in)
    return neurons


def read_block(lanes: int) -> Array:
    """Return what was recorded, uint8 (lanes, steps, neurons)."""
    spikes: Array = np.load(RECORD, mmap_mode="r", allow_pickle=False)
    return np.moveaxis(spikes.reshape(len(spikes), -1, lanes), 2, 0)


def synapses_of(arrays: dict[str, Array], settings: dict[str, Any]) -> dict[str, list[Part]]:
    """Return the synapses of a job by what sends to them: neurons, or spikes that come in."""
    found: dict[str, list[Part]] = {}
    for group in settings["synapses"]:
        weights = unpack_sparse(group["name"], arrays)
        part = (weights, group["first_receiver"], group["first_sender"], group["delay"])
        found.setdefault(group["sender"], []).append(part)
    return found


def _samples(
    data: Array, places: Array, starts: Array, size: int, settings: dict[str, Any]
) -> Samples:
    """Return the process that sends what samples bring, (samples, ..., columns), in all lanes."""
    lanes, each = settings["lanes"], settings["windows"]
    padded = np.zeros((lanes * each, *data.shape[1:]), data.dtype)
    padded[: len(data)] = data
    side_by_side = np.moveaxis(padded.reshape(lanes, each, *data.shape[1:]), 0, -1)
    return Samples(
        data=side_by_side.reshape(each, *data.shape[1:-1], -1),
        places=(places[:, None] * lanes + np.arange(lanes)).ravel(),
        starts=np.repeat(starts, lanes),
        size=size * lanes,
        timesteps=settings["timesteps"],
    )
