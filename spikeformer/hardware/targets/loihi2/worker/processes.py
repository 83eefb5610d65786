"""Lava processes for a whole network: one for all neurons, one for all synapses between them.

A process in Lava is an operating system process that waits for its neighbours at every step, so
many small layers are slow: 12 steps per second for a hundred of them. Here all neurons are one
process, and so are their synapses. Several copies of the network stand side by side and take
samples at the same time, so that they share steps and synapses. The dynamics of neurons are Lava's
own: these classes only make parameters a vector and clear states between samples.
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
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.models import PyLifModelBitAcc, PyLifModelFloat
from lava.proc.lif.process import LIF
from scipy import sparse

from spikeformer.hardware.targets.exchange import Array

Part = tuple[sparse.csr_matrix, int, int, int]
"""Synapses of one projection, as `Synapses` takes them."""


class Neurons(LIF):
    """`LIF` with decays and a threshold for each neuron, cleared when a sample begins.

    Args:
        du: Decays of the currents, (neurons,).
        dv: Decays of the membranes, (neurons,).
        vth: Thresholds, (neurons,).
        starts: Step at which the first sample reaches each neuron, (neurons,), counted from 0.
        timesteps: Steps between samples.
        levels: How graded neurons fire, (neurons,): 0 at the threshold, D counts up to D, and -D
            the minimum of two counts up to D; None if none is graded.
        bias_mant: Biases, (neurons,).
        bias_exp: Their exponents, (neurons,).
    """

    def __init__(
        self,
        *,
        du: Array,
        dv: Array,
        vth: Array,
        starts: Array,
        timesteps: int,
        levels: Array | None = None,
        **bias: Array,
    ) -> None:
        super().__init__(shape=vth.shape, starts=starts, timesteps=timesteps, levels=levels, **bias)
        self.du = Var(shape=du.shape, init=du)
        self.dv = Var(shape=dv.shape, init=dv)
        self.vth = Var(shape=vth.shape, init=vth)


class _Cleared:
    """Clears the states of the neurons that a new sample reaches, then lets the model run."""

    implements_process = None  # a model may be named for another process than its parent's
    proc_params: Any
    time_step: int
    u: Array
    v: Array

    def run_spk(self) -> None:
        phase = (self.time_step - 1 - self.proc_params["starts"]) % self.proc_params["timesteps"]
        begins = phase == 0
        self.u[begins] = 0
        self.v[begins] = 0
        super().run_spk()  # type: ignore[misc]


@implements(proc=Neurons, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class NeuronsFloat(_Cleared, PyLifModelFloat):
    """Lava's floating-point LIF."""

    du = LavaPyType(np.ndarray, float)
    dv = LavaPyType(np.ndarray, float)
    vth = LavaPyType(np.ndarray, float)


@implements(proc=Neurons, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class NeuronsFixed(_Cleared, PyLifModelBitAcc):
    """Lava's model of Loihi's compartments, bit for bit."""

    du = LavaPyType(np.ndarray, np.int32, precision=12)
    dv = LavaPyType(np.ndarray, np.int32, precision=12)
    vth = LavaPyType(np.ndarray, np.int32, precision=17)


class GradedNeurons(Neurons):
    """`Neurons` some of which count: Loihi 2's neurons are programs, and send up to 32 bits."""


class _Graded(_Cleared):
    """Fires 0 and 1, counts, and minima of counts, in the units that a model has.

    Counts are what lies nearest to the membrane over the threshold, ties to the even number, and
    take their thresholds off the membrane. Minima have no memory.
    """

    implements_process = None
    vth: Array

    def packed(self) -> Array:
        """Return the membranes of minima as integers."""
        raise NotImplementedError

    def thresholds(self) -> Array:
        """Return thresholds in the units of the membranes."""
        raise NotImplementedError

    def counted(self) -> Array:
        """Return the number of thresholds nearest to each membrane."""
        raise NotImplementedError

    def spiking_activation(self) -> Array:
        """Return what each neuron sends."""
        levels = self.proc_params["levels"]
        base = np.left_shift(1, np.ceil(np.log2(np.abs(levels) + 1)).astype(np.int64))
        high, low = np.divmod(self.packed(), np.maximum(base, 2))
        counts = np.clip(self.counted(), 0, np.maximum(levels, 0))
        fired = self.v > self.thresholds()
        kinds = [levels == 0, levels > 0]
        minima = np.clip(np.minimum(high, low), 0, np.abs(levels))
        spikes: Array = np.select(kinds, [fired, counts], minima)
        return spikes.astype(self.v.dtype)

    def reset_voltage(self, spike_vector: Array) -> None:
        """Take off what was sent."""
        levels = self.proc_params["levels"]
        kept = np.where(spike_vector > 0, 0, self.v)
        left = self.v - spike_vector * self.thresholds()
        self.v[:] = np.select([levels == 0, levels > 0], [kept, left], 0)


@implements(proc=GradedNeurons, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class GradedNeuronsFloat(_Graded, PyLifModelFloat):
    """In floating point."""

    du = LavaPyType(np.ndarray, float)
    dv = LavaPyType(np.ndarray, float)
    vth = LavaPyType(np.ndarray, float)

    def packed(self) -> Array:
        """Return the membranes of minima as integers."""
        return np.rint(self.v).astype(np.int64)

    def thresholds(self) -> Array:
        """Return thresholds in the units of the membranes."""
        return self.vth

    def counted(self) -> Array:
        """Return the number of thresholds nearest to each membrane."""
        return np.rint(self.v / np.where(self.vth > 0, self.vth, 1))


@implements(proc=GradedNeurons, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class GradedNeuronsFixed(_Graded, PyLifModelBitAcc):
    """In the integers of Loihi's compartments."""

    s_out = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    du = LavaPyType(np.ndarray, np.int32, precision=12)
    dv = LavaPyType(np.ndarray, np.int32, precision=12)
    vth = LavaPyType(np.ndarray, np.int32, precision=17)

    def packed(self) -> Array:
        """Return the membranes of minima as integers."""
        return np.right_shift(self.v.astype(np.int64), self.act_shift)

    def thresholds(self) -> Array:
        """Return thresholds in the units of the membranes."""
        return np.left_shift(self.vth.astype(np.int64), self.vth_shift)

    def counted(self) -> Array:
        """Return the number of thresholds nearest to each membrane."""
        threshold = np.maximum(self.thresholds(), 1)
        whole, rest = np.divmod(self.v.astype(np.int64), threshold)
        return whole + ((2 * rest > threshold) | ((2 * rest == threshold) & (whole % 2 == 1)))


class Synapses(AbstractProcess):
    """Adds up weights of spikes that arrive together, in all lanes at once.

    What `DelaySparse` computes, to which tests compare it: a spike of step s arrives at step
    s + delay. Lava would multiply by all its synapses once for each lane and each sign of weights.

    Args:
        parts: Weights (receivers, senders) with the first of the receivers, the first of the
            senders, and the delay in steps, at least 1.
        size: Neurons that send and that receive.
        lanes: Copies of the network that stand side by side, the lanes of a neuron together.
    """

    def __init__(self, *, parts: list[Part], size: tuple[int, int], lanes: int) -> None:
        super().__init__(parts=parts, size=size, lanes=lanes)
        senders, receivers = size
        self.s_in = InPort(shape=(senders * lanes,))
        self.a_out = OutPort(shape=(receivers * lanes,))


class _SynapsesModel(PyLoihiProcessModel):
    s_in: PyInPort
    a_out: PyOutPort

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._parts: list[Part] = proc_params["parts"]
        self._lanes = proc_params["lanes"]
        steps = max(delay for *_, delay in self._parts)
        shape = (steps, proc_params["size"][1], self._lanes)
        self._arriving = np.zeros(shape, self._parts[0][0].dtype)

    def run_spk(self) -> None:
        """Send first, so that neither waits for the other."""
        steps = len(self._arriving)
        now = self._arriving[self.time_step % steps]
        self.a_out.send(now.ravel())
        now[:] = 0
        spikes = self.s_in.recv().reshape(-1, self._lanes)
        for weights, receiver, sender, delay in self._parts:
            receivers, senders = weights.shape
            arriving = self._arriving[(self.time_step + delay) % steps]
            sent = spikes[sender : sender + senders]
            arriving[receiver : receiver + receivers] += weights @ sent


@implements(proc=Synapses, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class SynapsesFloat(_SynapsesModel):
    """In floating point."""

    s_in = LavaPyType(PyInPort.VEC_DENSE, float)
    a_out = LavaPyType(PyOutPort.VEC_DENSE, float)


@implements(proc=Synapses, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SynapsesFixed(_SynapsesModel):
    """In integers."""

    s_in = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    a_out = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)


class Samples(AbstractProcess):
    """Sends what a sample brings, step by step; 0 where it brings nothing.

    Args:
        data: Values that stay for a sample, (samples, columns), or spikes, (samples, timesteps,
            columns).
        places: Which of the numbers sent each column is, (columns,).
        starts: Step at which the first sample reaches each column, (columns,).
        size: How many numbers are sent.
        timesteps: Steps between samples.
    """

    def __init__(
        self, *, data: Array, places: Array, starts: Array, size: int, timesteps: int
    ) -> None:
        super().__init__(data=data, places=places, starts=starts, size=size, timesteps=timesteps)
        self.s_out = OutPort(shape=(size,))


class _SamplesModel(PyLoihiProcessModel):
    s_out: PyOutPort
    data: Array
    places: Array
    starts: Array
    timesteps: int

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        for name in ("data", "places", "starts", "timesteps"):
            setattr(self, name, proc_params[name])
        self._sent = np.zeros(proc_params["size"], self.data.dtype)

    def run_spk(self) -> None:
        sample, step = np.divmod(self.time_step - 1 - self.starts, self.timesteps)
        known = (sample >= 0) & (sample < len(self.data))
        row = np.where(known, sample, 0)
        columns = np.arange(len(row))
        index = (row, step, columns) if self.data.ndim == 3 else (row, columns)
        self._sent[self.places] = np.where(known, self.data[index], 0)
        self.s_out.send(self._sent)


@implements(proc=Samples, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class SamplesFloat(_SamplesModel):
    """Sends real numbers."""

    s_out = LavaPyType(PyOutPort.VEC_DENSE, float)


@implements(proc=Samples, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SamplesFixed(_SamplesModel):
    """Sends integers."""

    s_out = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)


class Recorder(AbstractProcess):
    """Writes every spike to a file; asking Lava for a variable takes 40 µs for each number.

    Args:
        size: Number of neurons.
        steps: Number of steps.
        path: Of the `.npy` file, uint8 (steps, size).
    """

    def __init__(self, *, size: int, steps: int, path: str) -> None:
        super().__init__(size=size, steps=steps, path=path)
        self.a_in = InPort(shape=(size,))


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
class RecorderModel(PyLoihiProcessModel):
    """Maps the file into memory."""

    a_in = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        shape = (proc_params["steps"], proc_params["size"])
        self._file = np.lib.format.open_memmap(
            proc_params["path"], mode="w+", dtype=np.uint8, shape=shape
        )

    def run_spk(self) -> None:
        """Write the spikes of a step."""
        self._file[self.time_step - 1] = self.a_in.recv()
