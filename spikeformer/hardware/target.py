"""What SpikeFormer knows of a chip: one object, which its deployer carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spikeformer.hardware.ir.cores import ChipLimits
from spikeformer.hardware.ir.integers import NumberFormat
from spikeformer.profiling import Technology


@dataclass(frozen=True)
class Target:
    """A kind of chip.

    Attributes:
        name: Its name, as in `hardware=...`; compiled networks keep it.
        label: Its name for people.
        limits: What its cores and chips hold; None where there are no cores. A deployer for boards
            that differ says what applies to its own.
        chips_per_board: Chips of a board; None if any number can be had.
        largest_system: Chips of the largest system built; None if that is not known.
        numbers: The integers that weights are rounded to, so that a network can be fine-tuned for
            them; None if it takes real weights.
        toolchain: Name of the environment with its maker's software; None if it needs none.
        toolchain_places: Whether that software decides where neurons go, so that a count of cores
            before it has run is an estimate.
        max_synapses: Most synapses that its simulator can hold; larger networks are compiled, not
            executed. None if there is no limit.
        prices: What prices its operations; several where nobody published its own figures.
        graded: Whether its neurons can send graded spikes: counts, and minima of two counts.
        leakless: Whether its neurons can do without a leak.
        lasting_currents: Whether a neuron's input current can last, with a decay of its own.
        boards: A deployer's arguments by the names of its boards, which validators accept as well.
    """

    name: str
    label: str = ""
    limits: ChipLimits | None = None
    chips_per_board: int | None = None
    largest_system: int | None = None
    numbers: NumberFormat | None = None
    toolchain: str | None = None
    toolchain_places: bool = False
    max_synapses: int | None = None
    prices: tuple[Technology, ...] = ()
    graded: bool = False
    leakless: bool = True
    lasting_currents: bool = False
    boards: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
