"""A network and the target that it shall go to."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import nn

from spikeformer.error_handling import HardwareCompatibilityError, check_choice
from spikeformer.hardware import InputShape, Lowered, NeuromorphicDeployer, SpikeGraph
from spikeformer.hardware.lowering import obstacles
from spikeformer.hardware.targets import deployer_classes


def hardware_names() -> dict[str, tuple[type[NeuromorphicDeployer], dict[str, Any]]]:
    """Return deployer and arguments by the names of the built-in targets and of their boards."""
    found: dict[str, tuple[type[NeuromorphicDeployer], dict[str, Any]]] = {}
    for name, deployer in deployer_classes().items():
        boards = deployer.target.boards
        found |= {name: (deployer, {}), **{b: (deployer, dict(boards[b])) for b in boards}}
    return found


def deployer_for(name: str) -> NeuromorphicDeployer:
    """Return the deployer of a built-in target, or for one of its boards.

    Raises:
        ArgumentError: There is no such hardware.
    """
    known = hardware_names()
    deployer, arguments = known[check_choice("hardware_type", name, known)]
    return deployer(**arguments)


@dataclass
class HardwareSubject:
    """A network and a target.

    Attributes:
        deployer: What brings networks there.
        model: The network; None checks the toolchain alone.
        input_shape: Shape of one sample; None takes it from the network, if it knows.
        given: The network as a spike graph, if somebody has made it already.
    """

    deployer: NeuromorphicDeployer
    model: nn.Module | None = None
    input_shape: InputShape | None = None
    given: Lowered | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Name of the target."""
        return self.deployer.target.name

    @cached_property
    def lowered(self) -> Lowered | HardwareCompatibilityError | None:
        """The network as a spike graph, or why not; None if a layer stands in the way."""
        if self.model is None or any(True for _ in obstacles(self.model)):
            return None
        try:
            return self.given or self.deployer.lowered(self.model, self.input_shape)
        except HardwareCompatibilityError as error:
            return error

    @property
    def graph(self) -> SpikeGraph | None:
        """The spike graph, if there is one."""
        return self.lowered.graph if isinstance(self.lowered, Lowered) else None
