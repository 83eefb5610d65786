"""Neuromorphic chips: what their makers and users published about a synaptic operation's energy."""

from __future__ import annotations

from dataclasses import dataclass

from spikeformer.error_handling import ArgumentError
from spikeformer.i18n import t
from spikeformer.profiling.counting.counts import LayerCounts
from spikeformer.profiling.pricing.costs import Cost, Range
from spikeformer.profiling.pricing.technology import Technology

_DAVIES = "Davies et al., IEEE Micro 2018, doi:10.1109/MM.2018.112130359, table 2, before silicon"
_NO_FIGURE = f"none published: that of Loihi 1 as an upper bound ({_DAVIES})"
_SHARP = "Sharp et al., J. Neurosci. Methods 2012, doi:10.1016/j.jneumeth.2012.03.001"
_STROMATIAS = (
    "Stromatias et al., IJCNN 2013, doi:10.1109/IJCNN.2013.6706927, "
    "as quoted by Tang et al., 2023, doi:10.3389/fnins.2023.1187252"
)
_HOPPNER_2019 = "Höppner et al., 2019, arXiv:1903.08941"
_HOPPNER_2021 = "Höppner et al., 2021, arXiv:2103.08392"
_TOOLCHAIN = "sPyNNaker's machine model (SpiNNMachine, version 5 boards)"


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
class Placement:
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
                raise ArgumentError(name, value, t("expected.non_negative_finite"))


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

    def idle_energy(self, placement: Placement) -> Range:
        """Return what the machine draws during one sample whether neurons fire or not, in pJ.

        Raises:
            ArgumentError: Nobody published the chip's idle power.
        """
        if self.idle is None:
            known = ", ".join(name for name, chip in CHIPS.items() if chip.idle is not None)
            raise ArgumentError("placement", self.name, t("profiling.placement_for", known=known))
        watts = (
            self.idle.board * placement.boards
            + self.idle.chip * placement.chips
            + self.idle.core * placement.cores
        )
        return Range.exactly(watts * placement.seconds * 1e12)


def _loihi_update(low: float) -> Range:
    # An update costs 52 pJ where the neuron stays idle and 81 where it is active.
    return Range(low, 81.0, 81.0)


# Within its tile a spike costs 1.7 pJ; a hop to the next tile 3.0 to 4.0, of which the value takes
# one and the upper bound ten, across the whole mesh.
_LOIHI_HOPS = Range(1.7, 5.2, 41.7)

CHIPS = {
    "loihi1": Chip(
        "loihi1",
        synaptic_operation=Cost(Range.exactly(23.6), _DAVIES),
        neuron_update=Cost(_loihi_update(52.0), _DAVIES),
        packet=Cost(_LOIHI_HOPS, _DAVIES),
    ),
    "loihi2": Chip(
        "loihi2",
        synaptic_operation=Cost(Range(0.0, 23.6, 23.6), _NO_FIGURE),
        neuron_update=Cost(_loihi_update(0.0), _NO_FIGURE),
        packet=Cost(Range(0.0, 5.2, 41.7), _NO_FIGURE),
    ),
    "spinnaker": Chip(
        "spinnaker",
        synaptic_operation=Cost(
            Range(45.0, 13_300.0, 43_000.0),
            f"45 pJ: {_STROMATIAS}; 13.3 nJ: {_HOPPNER_2019}; 43 nJ: {_SHARP}",
        ),
        neuron_update=Cost(
            Range(26_000.0, 26_000.0, 100_000.0), f"26 nJ: {_HOPPNER_2019}; 100 nJ: {_SHARP}"
        ),
        packet=Cost(Range.exactly(1_000.0), _TOOLCHAIN),
        idle=IdlePower(board=26.84, chip=0.35, core=0.034, source=_TOOLCHAIN),
    ),
    "spinnaker2": Chip(
        "spinnaker2",
        synaptic_operation=Cost(
            Range(10.0, 10.0, 450.0), f"10 pJ: {_HOPPNER_2021}; 450 pJ, test chip: {_HOPPNER_2019}"
        ),
        neuron_update=Cost(Range.exactly(2_190.0), f"test chip: {_HOPPNER_2019}"),
    ),
}
"""The chips by name."""
