"""A model of SpiNNaker's arithmetic: how many spikes it changes can be counted without a board.

Written after sPyNNaker's `IF_curr_delta` (`neuron_model_lif_impl.h` and `synapses.c`, release 7)::

    I = (min(sum_exc w s, 65535) << shift_exc) - (min(sum_inh w s, 65535) << shift_inh) + i_offset
    a = R I,   v = a - e (a - v),   s = v >= threshold,   v = 0 where it fired

States, R = tau/cm and e = exp(-1/tau) are S16.15 numbers: 32 bits, 15 of them behind the point.
Weights have 16 bits and one shift for each population and sign. Currents that last are those of
`IF_curr_exp` (`synapse_types_exponential_impl.h`), one for each sign, with decay and gain in parts
of 2^32::

    i = decay i + gain I,   decay = exp(-1/tau_syn),   gain = tau_syn (1 - decay)

Products are rounded to nearest here; what the chip's compiler does with the last bit may differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from spikeformer.hardware.ir.graph import Arrays, Population, SpikeGraph
from spikeformer.hardware.ir.operators import Array
from spikeformer.hardware.targets.spinnaker.network import is_switched, summed_weights
from spikeformer.hardware.targets.spinnaker.worker.network import (
    cell_parameters,
    current_parameters,
)

FRACTION = 15
"""Bits behind the point of S16.15."""
ONE = 1 << FRACTION
FRACTION_OF_DECAYS = 32
"""Bits behind the point of a current's decay, an unsigned long fract."""
LARGEST_WEIGHT = 2**16 - 1
SIGNS = (1, -1)
"""Of a population's two ring buffers, excitatory and inhibitory."""


@dataclass(frozen=True)
class Cell:
    """Parameters of a population as the chip holds them, all in S16.15.

    Attributes:
        resistance: R = tau/cm.
        decay: e = exp(-1/tau).
        threshold: Potential at which a neuron fires.
    """

    resistance: int
    decay: int
    threshold: int

    @classmethod
    def of(cls, population: Population) -> Cell:
        """Round the parameters that PyNN passes for a population."""
        given = cell_parameters(population.decay, population.threshold)
        if population.current_decay:
            decays = population.decay, population.current_decay
            given |= current_parameters(*decays, late=False)
        tau, capacity = to_fixed(given["tau_m"]), to_fixed(given["cm"])
        decay = to_fixed(math.exp(-ONE / int(tau)))
        return cls(int((tau << FRACTION) // capacity), int(decay), int(to_fixed(given["v_thresh"])))


def to_fixed(value: float | Array) -> Array:
    """Return numbers in S16.15, int64."""
    return np.rint(np.asarray(value) * ONE).astype(np.int64)


def shift_of(largest: float) -> int:
    """Return by how much sums of weights are shifted, so that the largest fits into 16 bits."""
    if largest <= 0:
        return 0
    power = math.ceil(max(0.0, math.log2(largest)))
    return power + 1 if 2**power <= largest else power


def simulate_fixed_point(graph: SpikeGraph, inputs: Arrays) -> dict[str, Array]:
    """Run a spike graph in the modelled arithmetic.

    Args:
        graph: The graph.
        inputs: Arrays of its sources.

    Returns:
        Spikes of every population of kind "lif", uint8 (samples, timesteps, size).
    """
    samples = len(next(iter(inputs.values())))
    spikes = {p.name: inputs[p.name] for p in graph.sources if p.kind == "spikes"}
    currents = graph.currents(inputs)
    for population in graph.neurons:
        current = np.zeros((samples, graph.timesteps, population.size), np.int64)
        for sign, largest in zip(SIGNS, summed_weights(graph, population), strict=True):
            arriving = _ring_buffer(graph, population, spikes, sign, shift_of(largest))
            if population.current_decay:
                arriving = _lasting(arriving, population.current_decay)
            current += sign * arriving
        if is_switched(graph, population) and population.name in currents:
            current += to_fixed(currents[population.name])[:, None]
        spikes[population.name] = _fire(current, Cell.of(population))
    return {population.name: spikes[population.name] for population in graph.neurons}


def _ring_buffer(
    graph: SpikeGraph, population: Population, spikes: Arrays, sign: int, shift: int
) -> Array:
    """Return what spikes and biases of one sign add up to, in S16.15."""
    unit = 2.0 ** (FRACTION - shift)
    total = np.zeros(population.size)
    for projection in graph.incoming(population.name):
        if projection.source in spikes:
            matrix = projection.operator.matrix()
            weights = sparse.csr_array(
                (_rounded(matrix.data, sign, unit), matrix.indices, matrix.indptr), matrix.shape
            )
            trains = projection.arriving(spikes[projection.source])
            summed = (weights @ trains.reshape(-1, trains.shape[2]).T.astype(np.float64)).T
            total = total + summed.reshape(*trains.shape[:2], -1)
    if population.bias is not None and not is_switched(graph, population):
        total = total + _rounded(population.bias, sign, unit)
    stored: Array = np.minimum(total, LARGEST_WEIGHT).astype(np.int64) << shift
    return stored


def _lasting(arriving: Array, decay: float) -> Array:
    """Return currents (samples, timesteps, size) that decay, in S16.15."""
    tau = -1.0 / math.log(decay)
    factor, gain = (round(x * 2**FRACTION_OF_DECAYS) for x in (decay, tau * (1.0 - decay)))
    held, steps = np.zeros_like(arriving[:, 0]), []
    for step in arriving.swapaxes(0, 1):
        held = _part(held, factor) + _part(step, gain)
        steps.append(held)
    return np.stack(steps, axis=1)


def _part(value: Array, factor: int) -> Array:
    """Return `value * factor / 2^32`, rounded to nearest, in halves that 64 bits hold."""
    high, low = np.divmod(value, 2**16)
    part: Array = (high * factor + ((low * factor + 2**31) >> 16)) >> 16
    return part


def _rounded(weights: Array, sign: int, unit: float) -> Array:
    """Return the weights of a sign as the 16 bits that a synapse has, as float64."""
    return np.minimum(np.rint(np.maximum(weights * sign, 0) * unit), LARGEST_WEIGHT)


def _fire(current: Array, cell: Cell) -> Array:
    """Return spikes at currents (samples, timesteps, size) in S16.15."""
    membrane = np.zeros((current.shape[0], current.shape[2]), np.int64)
    spikes = np.empty(current.shape, np.uint8)
    for step in range(current.shape[1]):
        target = _product(current[:, step], cell.resistance)
        membrane = target - _product(target - membrane, cell.decay)
        fired = membrane >= cell.threshold
        spikes[:, step] = fired
        membrane[fired] = 0
    return spikes


def _product(left: Array, right: int) -> Array:
    """Multiply in S16.15."""
    product: Array = (left * right + ONE // 2) >> FRACTION
    return product
