"""The boards that sPyNNaker knows, and what fits on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikeformer.hardware.ir.graph import SpikeGraph
from spikeformer.hardware.ir.limits import ChipLimits
from spikeformer.hardware.ir.placement import Core, Placement, fan_in

MAX_DELAY = 288
"""Ticks that sPyNNaker bridges: 144 in the synapses and as many in cores that it adds."""
NEURONS_PER_CORE = 256
"""What sPyNNaker puts on a core by default."""


@dataclass(frozen=True)
class Board:
    """A board.

    Attributes:
        version: Its number in sPyNNaker's configuration.
        chip: Name of its chips.
        num_chips: How many it has.
        runs: Whether sPyNNaker 7.4 can run on it; else it can only map.
        limits: What its chips hold. Synapses lie in memory that a chip's cores share.
    """

    version: int
    chip: str
    num_chips: int
    runs: bool
    limits: ChipLimits


def _spinnaker1(version: int, num_chips: int) -> Board:
    source = "Furber et al., 2013, doi:10.1109/TC.2012.142: 18 cores, one for monitoring, 128 MB"
    memory = 128 * 2**20 // 17
    limits = ChipLimits("SpiNNaker", 17, NEURONS_PER_CORE, memory, 4, MAX_DELAY, source)
    return Board(version, "SpiNNaker", num_chips, True, limits)


def _spinnaker2(version: int, num_chips: int) -> Board:
    source = "Gonzalez et al., 2024, doi:10.48550/arXiv.2401.04491: 152 cores, 2 GB beside them"
    memory = 2 * 2**30 // 152
    limits = ChipLimits("SpiNNaker 2", 152, NEURONS_PER_CORE, memory, 4, MAX_DELAY, source)
    return Board(version, "SpiNNaker 2", num_chips, False, limits)


BOARDS: Mapping[str, Board] = {
    "spin1-4chip": _spinnaker1(3, 4),
    "spin1-48chip": _spinnaker1(5, 48),
    "spin2-1chip": _spinnaker2(201, 1),
    "spin2-48chip": _spinnaker2(248, 48),
}


def placement_of(facts: Mapping[str, Any], graph: SpikeGraph, limits: ChipLimits) -> Placement:
    """Return what sPyNNaker placed as a placement, chips numbered in the order of their places.

    Args:
        facts: What the worker found.
        graph: The network; cores of sources are left out.
        limits: What the chips hold.
    """
    chips = sorted({tuple(core["chip"]) for core in facts["cores"]})
    synapses = {population.name: fan_in(graph, population) for population in graph.neurons}
    return Placement(
        limits,
        tuple(
            Core(
                chip=chips.index(tuple(core["chip"])),
                core=core["core"],
                population=core["population"],
                first=core["first"],
                neurons=core["neurons"],
                synapses=int(
                    synapses[core["population"]][core["first"] :][: core["neurons"]].sum()
                ),
                synapse_bytes=core["sdram_bytes"],
            )
            for core in facts["cores"]
            if core["population"] in synapses
        ),
    )
