"""A converted network: differential neurons in one process, the host's functions in another.

The two take turns: the host reads what neurons sent in a step and sends what they need in the next,
for every timestep of every sample that is under way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from spikeformer.hardware.ir.differential import DifferentialNeurons, FunctionNeurons, Scheme
from spikeformer.hardware.ir.runtime import STATIC, Host, HostOperation, Values
from spikeformer.hardware.targets.exchange import Array

from .block import synapses_of
from .processes import Synapses

EVENTS = "events.npy"


class DifferentialProcess(AbstractProcess):
    """Differential neurons and sums, side by side.

    Args:
        unit: Smallest event of each, (neurons,).
        start: State of each at a sample's first timestep, (neurons,).
        starts: Step at which the first sample reaches each, (neurons,), counted from 0.
        sums: 1 where a neuron sends what its synapses bring, (neurons,).
        timesteps: Steps between samples.
        scheme: What they share, as keywords of `Scheme`.
        computing: Those that send changes of a function of their state: `function`, and the `first`
            and the `last`, which is no longer one of them.
    """

    def __init__(
        self,
        *,
        unit: Array,
        start: Array,
        starts: Array,
        sums: Array,
        timesteps: int,
        scheme: dict[str, Any],
        computing: list[dict[str, Any]],
    ) -> None:
        super().__init__(
            unit=unit,
            start=start,
            starts=starts,
            sums=sums,
            timesteps=timesteps,
            scheme=scheme,
            computing=computing,
        )
        self.a_in = InPort(shape=unit.shape)
        self.h_in = InPort(shape=unit.shape)
        self.s_out = OutPort(shape=unit.shape)


class _DifferentialModel(PyLoihiProcessModel):
    a_in: PyInPort
    h_in: PyInPort
    s_out: PyOutPort

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._scheme = Scheme(**proc_params["scheme"])
        self._neurons = DifferentialNeurons(self._scheme, proc_params["unit"], proc_params["start"])
        self._starts, self._timesteps = proc_params["starts"], proc_params["timesteps"]
        self._sums = proc_params["sums"] == 1
        self._computing = []
        for each in proc_params["computing"]:
            where = slice(each["first"], each["last"])
            neurons = FunctionNeurons(each["function"], proc_params["start"][where])
            self._computing.append((where, neurons))

    def run_spk(self) -> None:
        summed, changed = self.a_in.recv(), self.h_in.recv()
        if most := self._scheme.max_state:
            summed = np.clip(summed.astype(np.int64), -most, most)
            changed = changed.astype(np.int64)
        local = self.time_step - 1 - self._starts
        t = local % self._timesteps + 1
        sent = np.where(self._sums, summed, self._neurons.fire(summed, changed, t))
        for where, neurons in self._computing:
            sent[where] = neurons.fire(summed[where], changed[where], t[where])
        self.s_out.send(np.where(local < 0, 0, sent))


@implements(proc=DifferentialProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class DifferentialFloat(_DifferentialModel):
    """In floating point."""

    a_in = LavaPyType(PyInPort.VEC_DENSE, float)
    h_in = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out = LavaPyType(PyOutPort.VEC_DENSE, float)


@implements(proc=DifferentialProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class DifferentialFixed(_DifferentialModel):
    """In 24-bit states."""

    a_in = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    h_in = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)


class HostFunctions(AbstractProcess):
    """The host: reads events, computes functions of their rates, sends what changed.

    Args:
        arrays: The job's arrays.
        settings: The job's settings.
    """

    def __init__(self, *, arrays: dict[str, Array], settings: dict[str, Any]) -> None:
        super().__init__(arrays=arrays, settings=settings)
        self.s_in = InPort(shape=arrays["unit"].shape)
        self.h_out = OutPort(shape=arrays["unit"].shape)


class _HostModel(PyLoihiProcessModel):
    s_in: PyInPort
    h_out: PyOutPort

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        arrays, settings = proc_params["arrays"], proc_params["settings"]
        self._scheme = Scheme(**settings["scheme"])
        self._timesteps = settings["timesteps"]
        self._populations: list[dict[str, Any]] = settings["populations"]
        self._places: dict[str, slice] = {}
        first = 0
        for population in self._populations:
            last = first + population["size"]
            self._places[population["name"]] = slice(first, last)
            first = last
        self._scale = arrays["scale"]
        worth = arrays["unit"] / self._scale
        constants = _below("constants/", arrays)
        self._inputs = _below("inputs/", arrays)
        units = {name: worth[where] for name, where in self._places.items()}
        self._host = Host(constants, self._scheme, units)
        self._functions = [
            HostOperation(**{**each, "shape": tuple(each["shape"])})
            for each in settings["functions"]
        ]
        self._depth = max(population["depth"] for population in self._populations)
        self._samples = settings["samples"]
        self._under_way: dict[int, Values] = {}
        self._static: Values = {}
        self._before = np.zeros_like(arrays["start"])
        shape = (settings["steps"], first)
        self._file = np.lib.format.open_memmap(
            EVENTS, mode="w+", dtype=self._before.dtype, shape=shape
        )
        self._message = self._next(-1)

    def run_spk(self) -> None:
        """Send first, so that neither waits for the other."""
        self.h_out.send(self._message)
        events = self.s_in.recv()
        step = self.time_step - 1
        self._file[step] = events
        sent = {name: events[where] for name, where in self._places.items()}
        for depth in range(self._depth + 1):
            local = step - depth
            if not 0 <= local < self._samples * self._timesteps:
                continue
            values = self._under_way[local]
            for function in self._functions:
                if function.depth == depth:
                    self._host.run(function, values, local % self._timesteps + 1, sent)
            if depth == self._depth:
                del self._under_way[local]
        self._message = self._next(step)

    def _next(self, step: int) -> Array:
        """Return what changes with the next step in what neurons are to encode."""
        begun = step + 1
        if begun < self._samples * self._timesteps:
            sample, t = divmod(begun, self._timesteps)
            if t == 0:
                inputs = {name: x[sample : sample + 1] for name, x in self._inputs.items()}
                self._static = {**self._host.constants, **inputs}
                for function in self._functions:
                    if function.depth == STATIC:
                        self._host.run(function, self._static, 1, {})
            self._under_way[begun] = dict(self._static)
        message = np.zeros_like(self._before)
        for population in self._populations:
            local = step + 1 - population["depth"]
            if population["source"] is None or local not in self._under_way:
                continue
            where = self._places[population["name"]]
            wanted = self._under_way[local][population["source"]].ravel() * self._scale[where]
            if self._scheme.max_state:
                wanted = np.rint(wanted).astype(np.int64)
            before = self._before[where] if local % self._timesteps else 0
            message[where] = wanted - before
            self._before[where] = wanted
        return message


@implements(proc=HostFunctions, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class HostFloat(_HostModel):
    """Sends real numbers."""

    s_in = LavaPyType(PyInPort.VEC_DENSE, float)
    h_out = LavaPyType(PyOutPort.VEC_DENSE, float)


@implements(proc=HostFunctions, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class HostFixed(_HostModel):
    """Sends integers, and computes with what they stand for."""

    s_in = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    h_out = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)


def build_hosted(arrays: dict[str, Array], settings: dict[str, Any]) -> AbstractProcess:
    """Connect the processes of a job and return one of them."""
    neurons = DifferentialProcess(
        unit=arrays["unit"],
        start=arrays["start"],
        starts=arrays["starts"],
        sums=arrays["sums"],
        timesteps=settings["timesteps"],
        scheme=settings["scheme"],
        computing=settings["computing"],
    )
    host = HostFunctions(arrays=arrays, settings=settings)
    neurons.s_out.connect(host.s_in)
    host.h_out.connect(neurons.h_in)
    size = len(arrays["unit"])
    for changes, port in ((False, neurons.a_in), (True, neurons.h_in)):
        groups = [each for each in settings["synapses"] if each["changes"] == changes]
        for parts in synapses_of(arrays, {"synapses": groups}).values():
            synapses = Synapses(parts=parts, size=(size, size), lanes=1)
            neurons.s_out.connect(synapses.s_in)
            synapses.a_out.connect(port)
    return neurons


def read_hosted() -> dict[str, Array]:
    """Return what every neuron sent, (steps, neurons)."""
    return {"events": np.load(EVENTS, allow_pickle=False)}


def _below(prefix: str, arrays: dict[str, Array]) -> dict[str, Array]:
    return {name[len(prefix) :]: x for name, x in arrays.items() if name.startswith(prefix)}
