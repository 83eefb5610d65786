"""The network in Lava's own processes, one for each population: the form that a chip takes.

Slower than the block in simulation, and the proof of it: both must record the same spikes. On a
chip, adapters carry spikes between the host and the cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from lava.magma.core.process.process import AbstractProcess
from lava.proc.lif.process import LIFReset
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
from scipy import sparse

from spikeformer.hardware.targets.exchange import Array, unpack_sparse

from .processes import Recorder, Samples

LATE = 1
"""Steps by which all is later than in the block: currents cross a synapse on their way in."""
MESSAGE_BITS = 24
"""Bits of a graded spike."""


class Layers:
    """The processes of a job.

    Args:
        arrays: The job's arrays.
        settings: The job's settings.
        chip: Whether spikes cross between host and chip.
    """

    def __init__(self, arrays: dict[str, Array], settings: dict[str, Any], *, chip: bool) -> None:
        self._arrays, self._settings, self._chip = arrays, settings, chip
        self._ranges = {
            "neurons": list(_ranges(settings["neurons"])),
            "spikes": list(_ranges(settings["spikes"])),
        }
        self._neurons = [self._population(where) for where in self._ranges["neurons"]]
        self._senders: dict[str, list[Any]] = {
            "neurons": [neurons.s_out for neurons in self._neurons],
            "spikes": [self._source(where) for where in self._ranges["spikes"]],
        }
        for group in settings["synapses"]:
            self._connect(group)
        for number, neurons in enumerate(self._neurons):
            self._record(number, neurons)
        if "currents" in arrays:
            for number, where in enumerate(self._ranges["neurons"]):
                self._drive(self._neurons[number], where)

    @property
    def process(self) -> AbstractProcess:
        """One of the processes, to run them all."""
        return self._neurons[0]

    def read(self) -> Array:
        """Return what was recorded, uint8 (1, steps, neurons)."""
        files = [_record_of(number) for number in range(len(self._neurons))]
        spikes = [np.load(file, allow_pickle=False)[LATE:] for file in files]
        return np.concatenate(spikes, axis=1)[None]

    def _population(self, where: slice) -> LIFReset:
        first = where.start
        return LIFReset(
            shape=(where.stop - first,),
            du=self._arrays["du"][first],
            dv=self._arrays["dv"][first],
            vth=self._arrays["vth"][first],
            bias_mant=self._arrays["bias_mant"][where],
            bias_exp=self._arrays["bias_exp"][where],
            reset_interval=self._settings["timesteps"],
            # Lava counts its steps from one.
            reset_offset=int(self._arrays["starts"][first]) + LATE + 1,
        )

    def _source(self, where: slice) -> Any:
        source = Samples(
            data=self._arrays["spikes"][:, :, where],
            places=np.arange(where.stop - where.start),
            starts=self._arrays["spikes_starts"][where] + LATE,
            size=where.stop - where.start,
            timesteps=self._settings["timesteps"],
        )
        return self._to_chip(source.s_out)

    def _connect(self, group: dict[str, Any]) -> None:
        """Connect two populations, with each sign of weights apart.

        Either sign has all 8 bits; in Lava's mode for mixed signs the sign takes one of them.
        """
        weights = unpack_sparse(group["name"], self._arrays)
        firsts = [where.start for where in self._ranges["neurons"]]
        neurons = self._neurons[firsts.index(group["first_receiver"])]
        firsts = [where.start for where in self._ranges[group["sender"]]]
        sender = self._senders[group["sender"]][firsts.index(group["first_sender"])]
        for mode, part in (
            (SignMode.EXCITATORY, weights.maximum(0)),
            (SignMode.INHIBITORY, weights.minimum(0)),
        ):
            if part.nnz:
                # A synapse of Lava takes one step by itself.
                delays = sparse.csr_matrix(part, dtype=np.int64)
                delays.data = np.full(part.nnz, group["delay"] - 1)
                synapses = DelaySparse(weights=part, delays=delays, sign_mode=mode)
                sender.connect(synapses.s_in)
                synapses.a_out.connect(neurons.a_in)

    def _drive(self, neurons: LIFReset, where: slice) -> None:
        """Send the samples' currents to a population, as graded spikes through one synapse each."""
        places = self._arrays["currents_places"]
        chosen = (places >= where.start) & (places < where.stop)
        if not chosen.any():
            return
        size = where.stop - where.start
        source = Samples(
            data=self._arrays["currents"][:, chosen],
            places=places[chosen] - where.start,
            starts=self._arrays["starts"][places[chosen]] + LATE - 1,
            size=size,
            timesteps=self._settings["timesteps"],
        )
        one = sparse.identity(size, self._arrays["dv"].dtype, format="csr")
        synapses = Sparse(weights=one, num_message_bits=MESSAGE_BITS, sign_mode=SignMode.EXCITATORY)
        self._to_chip(source.s_out).connect(synapses.s_in)
        synapses.a_out.connect(neurons.a_in)

    def _record(self, number: int, neurons: LIFReset) -> None:
        size, steps = neurons.s_out.shape[0], self._settings["steps"] + LATE
        recorder = Recorder(size=size, steps=steps, path=_record_of(number))
        self._from_chip(neurons.s_out).connect(recorder.a_in)

    def _to_chip(self, port: Any) -> Any:
        if not self._chip:
            return port
        from lava.proc import embedded_io

        adapter = embedded_io.spike.PyToNxAdapter(shape=port.shape, num_message_bits=MESSAGE_BITS)
        port.connect(adapter.inp)
        return adapter.out

    def _from_chip(self, port: Any) -> Any:
        if not self._chip:
            return port
        from lava.proc import embedded_io

        adapter = embedded_io.spike.NxToPyAdapter(shape=port.shape, num_message_bits=0)
        port.connect(adapter.inp)
        return adapter.out


def _ranges(sizes: list[int]) -> Iterator[slice]:
    """Yield where each population stands in a row of all of them."""
    first = 0
    for size in sizes:
        yield slice(first, first + size)
        first += size


def _record_of(number: int) -> str:
    return f"spikes-{number}.npy"
