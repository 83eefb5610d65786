"""Digital logic in 45 nm: prices of arithmetic, memory and addressing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spikeformer.error_handling import ArgumentError, check_positive_int
from spikeformer.profiling.counting.counts import LayerCounts
from spikeformer.profiling.pricing.costs import Cost, Range
from spikeformer.profiling.pricing.technology import Technology

_HOROWITZ = "Horowitz, ISSCC 2014, doi:10.1109/ISSCC.2014.6757323, 45 nm at 0.9 V"
_LEMAIRE = "Lemaire et al., 2022, arXiv:2210.13107, from Horowitz's caches"


def _horowitz(energy_pj: float) -> Cost:
    return Cost(Range.exactly(energy_pj), _HOROWITZ)


INTEGER_ADD = _horowitz(0.1)
"""Addition of 32-bit integers, for addresses."""

INTEGER_MAC = _horowitz(3.2)
"""Multiplication (3.1) and addition (0.1) of 32-bit integers, for addresses."""

MEMORY = {8: 10.0, 32: 20.0, 1024: 100.0}
"""pJ for one access to an on-chip memory of so many KiB; in between, by the logarithm of the size.

Horowitz gives them for words of 64 bits, Lemaire et al. for one value of 32: the bounds of a range.
"""

EVENT_BITS = 32
"""Size of an event in a queue: the address of the neuron that fired."""


@dataclass(frozen=True)
class Precision:
    """Number format of a network's arithmetic, with what it costs.

    Attributes:
        name: "fp32", "fp16", "int8" or, for fewer bits, "int3".
        mac: Multiply-accumulate.
        ac: Accumulate.
        weight_bits: Size of a weight in memory.
        activation_bits: Size of a real value.
        state_bits: Size of a membrane or a partial sum.
    """

    name: str
    mac: Cost
    ac: Cost
    weight_bits: int
    activation_bits: int
    state_bits: int


PRECISIONS = {
    "fp32": Precision("fp32", _horowitz(4.6), _horowitz(0.9), 32, 32, 32),
    "fp16": Precision("fp16", _horowitz(1.5), _horowitz(0.4), 16, 16, 16),
    "int8": Precision("int8", _horowitz(0.23), _horowitz(0.03), 8, 8, 16),
}
"""Formats that Horowitz gives both additions and multiplications of."""


def quantized(activation_bits: int) -> Precision:
    """Return the arithmetic of 8-bit weights and activations of so many bits.

    A multiplier of a by b bits costs about a times b; the upper bound is that of 8 by 8 bits, for
    hardware that has no other.

    Args:
        activation_bits: From 1 to 8.

    Example:
        >>> quantized(4).mac.energy_pj.value
        0.13
    """
    if check_positive_int("activation_bits", activation_bits) > 8:
        raise ArgumentError("activation_bits", activation_bits, "from 1 to 8")
    eight = PRECISIONS["int8"]
    scaled = 0.2 * activation_bits / 8 + 0.03
    mac = Cost(
        Range(scaled, scaled, eight.mac.energy_pj.high),
        f"{_HOROWITZ}; multiplication in proportion to the bits",
    )
    return Precision(f"int{activation_bits}", mac, eight.ac, 8, activation_bits, 16)


@dataclass(frozen=True)
class Cmos45(Technology):
    """A digital accelerator in 45 nm that keeps everything in on-chip memory.

    For every layer, in pJ:

        compute     MACs and ACs; a neuron's update is one MAC (leak) and one AC (threshold), a
                    spike one more AC (reset)
        memory      reads and writes of weights, activations, membranes and events, each priced by
                    the size of the memory that holds them
        addressing  integer arithmetic that finds the next weight, membrane or value

    The value takes every access from memory, as Lemaire et al. do, and does not skip zeros in
    dense products. The lower bound skips them and reads each weight, activation and membrane
    once in a timestep, as hardware with perfect reuse would; the upper bound adds batch norms that
    were not folded. Off-chip memory (1.3 to 2.6 nJ for 64 bits) is not included.

    Args:
        precision: A key of `PRECISIONS`, or a `Precision`.

    Source: Horowitz, ISSCC 2014, doi:10.1109/ISSCC.2014.6757323; Lemaire et al., 2022,
    arXiv:2210.13107.
    """

    precision: Precision = PRECISIONS["fp32"]
    name: str = "simulation"

    @property
    def costs(self) -> dict[str, Cost]:
        """Every constant in use, by what it pays for."""
        return {
            "multiply-accumulate": self.precision.mac,
            "accumulate": self.precision.ac,
            "address addition": INTEGER_ADD,
            "address multiply-accumulate": INTEGER_MAC,
            **{
                f"memory access, {size} KiB": Cost(Range(energy / 2, energy, energy), _LEMAIRE)
                for size, energy in MEMORY.items()
            },
        }

    def price(self, layer: LayerCounts, samples: int) -> dict[str, Range]:
        """Return what a layer cost for compute, memory and addressing, in pJ."""
        return {
            "compute": self._compute(layer),
            "memory": self._memory(layer, samples),
            "addressing": INTEGER_ADD.times(layer.address_adds)
            + INTEGER_MAC.times(layer.address_macs),
        }

    def _compute(self, layer: LayerCounts) -> Range:
        mac, ac = self.precision.mac, self.precision.ac
        accumulates = layer.acs + layer.neuron_updates
        if layer.neuron_updates:
            accumulates += layer.spikes
        done = mac.times(layer.macs + layer.neuron_updates) + ac.times(accumulates)
        skipped = mac.energy_pj.value * layer.skipped_macs
        unfolded = mac.energy_pj.high * layer.foldable_macs
        high = mac.energy_pj.high * layer.skipped_macs + unfolded
        return done + Range(0.0, skipped, high)

    def _memory(self, layer: LayerCounts, samples: int) -> Range:
        passes, format_ = samples * layer.steps, self.precision
        traffic = [
            (layer.weight_reads, layer.weights, format_.weight_bits),
            (
                layer.activation_reads + layer.activation_writes,
                layer.activations,
                format_.activation_bits,
            ),
            (layer.membrane_reads, layer.membranes, format_.state_bits),
            (layer.membrane_writes, layer.membranes, format_.state_bits),
        ]
        parts = [
            _traffic(accesses, passes * held, held * bits, bits) for accesses, held, bits in traffic
        ]
        # A queue of events is small, and each is read once: there is nothing to reuse.
        events = layer.events + layer.spikes
        return Range.total([*parts, _traffic(events, events, 0.0, EVENT_BITS)])


def _traffic(accesses: float, needed: float, memory_bits: float, value_bits: int) -> Range:
    """Energy of accesses to a memory, of which only `needed` remain if everything is reused."""
    energy = access_energy(memory_bits / 8) * (value_bits / 32)
    return Range(min(accesses, needed) * energy / 2, accesses * energy, accesses * energy)


def access_energy(size_bytes: float) -> float:
    """Return the energy in pJ of one access to 32 bits in an on-chip memory of this size.

    Smaller memories cost as much as the smallest of `MEMORY`; larger ones are banks of the largest.

    Example:
        >>> access_energy(32 * 1024)
        20.0
    """
    sizes, energies = list(MEMORY), list(MEMORY.values())
    size = min(max(size_bytes / 1024, sizes[0]), sizes[-1])
    above = next(index for index, bound in enumerate(sizes) if size <= bound)
    if size == sizes[above]:
        return energies[above]
    below = above - 1
    share = math.log(size / sizes[below]) / math.log(sizes[above] / sizes[below])
    return energies[below] + share * (energies[above] - energies[below])
