"""Neuromorphic chips: what their makers and users published about a synaptic operation's energy."""

from __future__ import annotations

from dataclasses import dataclass

from spikeformer.error_handling import ArgumentError
from spikeformer.profiling.counting.counts import LayerCounts
from spikeformer.profiling.pricing.costs import Cost, Range
from spikeformer.profiling.pricing.technology import TECHNOLOGIES, Technology


@dataclass(frozen=True)
class IdlePower:
    """What a machine draws while it is on, in W.

    Attributes:
        board: An idle board.
        chip: Added by each chip in use.
        core: Added by each core in use.
        source: Where the figures are from.
    """

    board: float
    chip: float
    core: float
    source: str


@dataclass(frozen=True)
class Occupancy:
    """How much of a machine a network occupies, and for how long for each sample.

    Args:
        seconds: Time for one sample.
        cores: Cores in use.
        chips: Chips in use.
        boards: Boards that are on; a fraction where others share them.
    """

    seconds: float
    cores: float
    chips: float
    boards: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < float("inf"):
                raise ArgumentError(name, value, "a finite number of at least 0")


@dataclass(frozen=True)
class Chip(Technology):
    """A chip that is paid by synaptic operations, neuron updates and messages.

    Layers that multiply ordinary numbers (the first layer under direct coding, a layer norm) do not
    run on such a chip; the estimate leaves them out and counts what it left out.

    Args:
        name: Its name among the backends.
        synaptic_operation: One synapse crossed by one spike.
        neuron_update: One neuron brought forward by one timestep; None where nobody published it.
        packet: One message routed; None where nobody published it.
        idle: What the machine draws besides; None where nobody published it.
    """

    name: str
    synaptic_operation: Cost
    neuron_update: Cost | None = None
    packet: Cost | None = None
    idle: IdlePower | None = None

    @property
    def costs(self) -> dict[str, Cost]:
        """Every constant in use, by what it pays for."""
        found = {
            "synaptic operation": self.synaptic_operation,
            "neuron update": self.neuron_update,
            "packet": self.packet,
        }
        return {name: cost for name, cost in found.items() if cost is not None}

    def price(self, layer: LayerCounts, samples: int) -> dict[str, Range]:
        """Return what a layer cost for synapses, neurons and routing, in pJ."""
        prices = {"synapses": self.synaptic_operation.times(layer.synaptic_operations)}
        if self.neuron_update is not None:
            prices["neurons"] = self.neuron_update.times(layer.neuron_updates)
        if self.packet is not None:
            packets = layer.spikes if layer.packets is None else layer.packets
            prices["routing"] = self.packet.times(packets)
        return prices

    def uncovered_macs(self, layer: LayerCounts) -> float:
        """Return the multiply-accumulates that no spike caused, which the chip cannot run."""
        return 0.0 if layer.synaptic_operations else layer.macs + layer.skipped_macs

    def idle_energy(self, placement: Occupancy) -> Range:
        """Return what the machine draws during one sample whether neurons fire or not, in pJ.

        Raises:
            ArgumentError: Nobody published the chip's idle power.
        """
        if self.idle is None:
            chips = [chip for chip in TECHNOLOGIES.values() if isinstance(chip, Chip)]
            known = ", ".join(chip.name for chip in chips if chip.idle is not None)
            raise ArgumentError("placement", self.name, f"to be given for {known} alone")
        watts = (
            self.idle.board * placement.boards
            + self.idle.chip * placement.chips
            + self.idle.core * placement.cores
        )
        return Range.exactly(watts * placement.seconds * 1e12)
