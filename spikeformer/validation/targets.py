"""Chips to check a network against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from torch import nn

from spikeformer.error_handling import HardwareCompatibilityError, check_choice
from spikeformer.hardware import (
    LOIHI2,
    ChipLimits,
    Loihi2Deployer,
    NeuromorphicDeployer,
    SimulationDeployer,
    SpikeGraph,
    SpiNNakerDeployer,
)
from spikeformer.hardware.lowering import Lowered, obstacles
from spikeformer.hardware.targets.spinnaker.boards import BOARDS

HARDWARE: dict[str, tuple[Callable[[], NeuromorphicDeployer], ChipLimits | None, int | None]] = {
    "simulation": (SimulationDeployer, None, None),
    "loihi2": (Loihi2Deployer, LOIHI2, None),
    "spinnaker": (SpiNNakerDeployer, BOARDS["spin2-48chip"].limits, 48),
    **{
        name: (partial(SpiNNakerDeployer, name), board.limits, board.num_chips)
        for name, board in BOARDS.items()
    },
}
"""Deployer, limits and chips of a board by the names that validators accept."""


@dataclass
class HardwareSubject:
    """A network and a chip.

    Attributes:
        name: A key of `HARDWARE`.
        model: The network; None checks the toolchain alone.
        input_shape: Shape of one sample; None takes it from the network, if it knows.
    """

    name: str
    model: nn.Module | None = None
    input_shape: Sequence[int] | None = None

    def __post_init__(self) -> None:
        check_choice("hardware_type", self.name, HARDWARE)

    @cached_property
    def deployer(self) -> NeuromorphicDeployer:
        """What brings networks there."""
        return HARDWARE[self.name][0]()

    @property
    def limits(self) -> ChipLimits | None:
        """What its chips hold."""
        return HARDWARE[self.name][1]

    @property
    def chips_per_board(self) -> int | None:
        """Chips of a board; None if any number can be had."""
        return HARDWARE[self.name][2]

    @cached_property
    def lowered(self) -> Lowered | HardwareCompatibilityError | None:
        """The network as a spike graph, or why not; None if a layer stands in the way."""
        if self.model is None or any(True for _ in obstacles(self.model)):
            return None
        try:
            return self.deployer.lowered(self.model, self.input_shape)
        except HardwareCompatibilityError as error:
            return error

    @property
    def graph(self) -> SpikeGraph | None:
        """The spike graph, if there is one."""
        return self.lowered.graph if isinstance(self.lowered, Lowered) else None
