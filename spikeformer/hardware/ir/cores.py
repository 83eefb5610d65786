"""A chip's limits, and the neurons on its cores."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class ChipLimits:
    """What fits on a core and on a chip.

    Attributes:
        name: The chip.
        cores_per_chip: Cores that hold neurons.
        neurons_per_core: Most neurons of a core.
        synapse_bytes_per_core: Memory of a core for weights.
        bytes_per_weight: Memory of one weight.
        max_delay: Longest delay of a projection, in steps; None if any can be bridged.
        source: Where the numbers are from.
    """

    name: str
    cores_per_chip: int
    neurons_per_core: int
    synapse_bytes_per_core: int
    bytes_per_weight: int
    max_delay: int | None
    source: str


@dataclass(frozen=True)
class Core:
    """What lies on one core.

    Attributes:
        chip: Number of the chip.
        core: Number of the core on the chip.
        population: Name of the population.
        first: Its first neuron here.
        neurons: How many of its neurons lie here.
        synapses: Weights of the synapses that lead to them.
        synapse_bytes: Memory of those weights.
    """

    chip: int
    core: int
    population: str
    first: int
    neurons: int
    synapses: int
    synapse_bytes: int


@dataclass(frozen=True)
class Placement:
    """Neurons on cores.

    Attributes:
        limits: What a core and a chip hold.
        cores: All cores that are used.
    """

    limits: ChipLimits
    cores: tuple[Core, ...]

    @property
    def num_chips(self) -> int:
        """Number of chips that are used."""
        return len({core.chip for core in self.cores})

    @property
    def num_cores(self) -> int:
        """Number of cores that are used."""
        return len({(core.chip, core.core) for core in self.cores})

    def cores_of(self, population: str) -> list[Core]:
        """Return the cores of a population."""
        return self._by_population.get(population, [])

    @cached_property
    def _by_population(self) -> dict[str, list[Core]]:
        found: dict[str, list[Core]] = {}
        for core in self.cores:
            found.setdefault(core.population, []).append(core)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON holds."""
        return {
            "limits": asdict(self.limits),
            "num_chips": self.num_chips,
            "num_cores": self.num_cores,
            "cores": [list(asdict(core).values()) for core in self.cores],
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Placement:
        """Return what `to_dict` made plain values of."""
        cores = tuple(Core(*values) for values in content["cores"])
        return cls(ChipLimits(**content["limits"]), cores)
