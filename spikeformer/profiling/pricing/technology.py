"""What prices operations: the interface, and a registry that chips fill."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from importlib import import_module

from spikeformer import PROVIDERS
from spikeformer.profiling.counting.counts import LayerCounts
from spikeformer.profiling.pricing.costs import Cost, Range


class Technology(ABC):
    """Something that runs a network and whose operations have prices."""

    name: str
    """How reports call it."""

    @property
    @abstractmethod
    def costs(self) -> dict[str, Cost]:
        """Every constant in use, by what it pays for."""

    @abstractmethod
    def price(self, layer: LayerCounts, samples: int) -> dict[str, Range]:
        """Return what a layer cost by purpose ("compute", "memory", ...), in pJ.

        Args:
            layer: Its counts over all samples.
            samples: How many those are.
        """

    def uncovered_macs(self, layer: LayerCounts) -> float:
        """Return how many operations cannot run here, so that `price` leaves them out."""
        return 0.0

    @property
    def source(self) -> str:
        """All publications in one line."""
        return "; ".join(dict.fromkeys(cost.source for cost in self.costs.values()))


class Technologies(Mapping[str, Technology]):
    """Technologies by name.

    Those of chips stand with their chips, in packages above this one, and register themselves. A
    look-up that finds nothing imports the built-in chips first, which `spikeformer.PROVIDERS`
    lists.
    """

    def __init__(self) -> None:
        self._found: dict[str, Technology] = {}
        self._providers = list(PROVIDERS["technologies"])

    def register(self, *technologies: Technology) -> None:
        """Add technologies, or put them in the place of those of the same names."""
        self._found.update({technology.name: technology for technology in technologies})

    def _all(self) -> dict[str, Technology]:
        while self._providers:
            registered = dict(self._found)
            import_module(self._providers.pop())
            self._found |= registered  # somebody's own figures stay
        return self._found

    def __getitem__(self, name: str) -> Technology:
        return self._found[name] if name in self._found else self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


TECHNOLOGIES = Technologies()
"""What an estimate can be made for, by name."""


def register_technologies(*technologies: Technology) -> None:
    """Let the profiler price operations by the figures of a chip of your own.

    Prices of a deployer's `target` need no such call: they are registered with its class.

    Example:
        >>> from spikeformer.profiling import Chip, Cost, Range, TECHNOLOGIES
        >>> cost = Cost(Range.exactly(2.0), "measured here")
        >>> register_technologies(Chip("mine", synaptic_operation=cost))
        >>> TECHNOLOGIES["mine"].source
        'measured here'
    """
    TECHNOLOGIES.register(*technologies)
