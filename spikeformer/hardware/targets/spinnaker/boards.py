"""The boards that sPyNNaker knows, and what fits on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from spikeformer.hardware.ir.cores import ChipLimits, Core, Placement
from spikeformer.hardware.ir.graph import SpikeGraph
from spikeformer.hardware.ir.placement import fan_in
from spikeformer.hardware.ir.records import Count

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


DEFAULT_BOARD = "spin2-48chip"


class MappedCore(Struct):
    """Where sPyNNaker put neurons."""

    population: str
    first: Count
    neurons: Count
    chip: tuple[Count, Count]
    core: Count
    sdram_bytes: Count


class Mapped(Struct):
    """What the worker that maps a network found; `reports` is text by file name."""

    cores: list[MappedCore]
    routers: list[dict[str, Any]]
    machine: dict[str, int]
    weight_shifts: dict[str, list[int]]
    reports: dict[str, str]
    spynnaker: str
    seconds: float


def placement_of(cores: list[MappedCore], graph: SpikeGraph, limits: ChipLimits) -> Placement:
    """Return what sPyNNaker placed as a placement, chips numbered in the order of their places.

    Args:
        cores: Where it put the neurons.
        graph: The network; cores of sources are left out.
        limits: What the chips hold.

    Raises:
        ValueError: These are not all neurons of the graph, each of them once.
    """
    chips = {chip: number for number, chip in enumerate(sorted({core.chip for core in cores}))}
    synapses = {population.name: fan_in(graph, population) for population in graph.neurons}
    placed = []
    for name, counts in synapses.items():
        own = sorted((c for c in cores if c.population == name), key=lambda c: c.first)
        edges = [0, *(core.first + core.neurons for core in own)]
        if [core.first for core in own] != edges[:-1] or edges[-1] != len(counts):
            raise ValueError(f"the neurons of {name!r} are not each placed once")
        placed += [
            Core(
                chip=chips[core.chip],
                core=core.core,
                population=name,
                first=core.first,
                neurons=core.neurons,
                synapses=int(counts[core.first :][: core.neurons].sum()),
                synapse_bytes=core.sdram_bytes,
            )
            for core in own
        ]
    return Placement(limits, tuple(placed))
