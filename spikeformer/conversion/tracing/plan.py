"""Where a network's activations become spikes, and what is known of each place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spikeformer.i18n import t


@dataclass
class Site:
    """A place where an activation is encoded as events: an operand of a matrix product.

    Attributes:
        name: Path of the module in the network, and which operand of which product in it.
        module: Path of the module.
        operand: "input", "left", "right", "query", ...
        same_as: The site that encodes the very same tensor, as that of the queries does for keys
            and values; None if it encodes one of its own.
        axes: Axes of the activation, counted from the end, along which thresholds differ.
    """

    name: str
    module: str
    operand: str
    same_as: str | None = None
    axes: tuple[int, ...] = ()

    @property
    def source(self) -> str:
        """Name of the site whose thresholds and events count."""
        return self.same_as or self.name


@dataclass
class Operation:
    """A matrix product or a convolution of the network.

    Attributes:
        name: Path of its module, and which of the module's operations it is.
        module: Path of the module.
        function: Name of the torch function, as in "linear".
        sites: Name of the site of each operand by its role; None for one that is no activation
            or that enters as it is.
    """

    name: str
    module: str
    function: str
    sites: dict[str, str | None] = field(default_factory=dict)


@dataclass
class ConversionPlan:
    """What the analysis of a network found.

    Attributes:
        operations: Matrix products and convolutions by name, in order of execution.
        sites: The places before them by name.
        floating: Functions that stay in floating point: module path to names of functions.
        refused: Likewise those that have no spiking form.
    """

    operations: dict[str, Operation] = field(default_factory=dict)
    sites: dict[str, Site] = field(default_factory=dict)
    floating: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, list[str]] = field(default_factory=dict)

    @property
    def linear_sources(self) -> frozenset[str]:
        """The sites whose events enter linear layers alone."""
        users = [
            (self.sites[site].source, operation.function == "linear")
            for operation in self.operations.values()
            for site in operation.sites.values()
            if site is not None
        ]
        others = {source for source, linear in users if not linear}
        return frozenset(source for source, _ in users if source not in others)


def describe(path: str, types: Mapping[str, str]) -> str:
    """Return path and type of a module, for messages."""
    if path:
        return f"`{path}` ({types.get(path, 'unknown')})"
    return t("conversion.whole_network", network=types.get("", "network"))
