"""What comparing, measuring and planning find: plain values, which a run's results keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spikeformer.hardware.ir.cores import ChipLimits, Placement
from spikeformer.i18n import t, translations
from spikeformer.profiling import EnergyEstimate


@dataclass(frozen=True)
class LayerComparison:
    """How the spikes of one population differ.

    Attributes:
        population: Its name.
        expected: Spikes in the run compared with.
        mismatches: Neurons and timesteps at which one fired and the other did not, or another
            number of spikes.
        compared: Neurons and timesteps in all.
        first: Sample, timestep and neuron of the first mismatch; None without any.
    """

    population: str
    expected: int
    mismatches: int
    compared: int
    first: tuple[int, int, int] | None


@dataclass(frozen=True)
class Comparison:
    """How the spikes of two runs differ.

    Attributes:
        samples: Samples compared.
        layers: One entry for each population, in the order of the graph.
    """

    samples: int
    layers: tuple[LayerComparison, ...]

    @property
    def mismatches(self) -> int:
        """Mismatches of all populations."""
        return sum(layer.mismatches for layer in self.layers)

    @property
    def compared(self) -> int:
        """Neurons and timesteps compared."""
        return sum(layer.compared for layer in self.layers)

    def between(self, expected: str, recorded: str) -> ArithmeticComparison:
        """Return the same with the names of the arithmetic of both runs."""
        return ArithmeticComparison(self.samples, self.layers, expected, recorded)


@dataclass(frozen=True)
class ArithmeticComparison(Comparison):
    """How the spikes of one network differ between two kinds of arithmetic.

    Attributes:
        expected: Name of the one compared with, as `arithmetic_label` takes it.
        recorded: Name of the other.
    """

    expected: str
    recorded: str


@dataclass(frozen=True)
class ChipLayer:
    """What one population takes of a target, and what it did there.

    Attributes:
        layer: Name of the population.
        neurons: Its neurons.
        synapses: Synapses that lead to them.
        delay_steps: Its longest delay.
        depth: Its depth in the network.
        firing_rate: Spikes per neuron and timestep.
        cores: Cores that hold it, on a chip with cores.
        synapse_bytes: Memory of its weights there.
        weights: Smallest and largest integer weight, on a chip with integers.
        threshold: Its threshold there.
        decay: Its decay there.
        rounding_error: Root mean square of the rounding, in thresholds.
        state: Extremes of the membrane in units of the weights.
        state_used: Share of the membrane's range that the larger of them took.
        clipped: How often the membrane met the end of its range.
    """

    layer: str
    neurons: int
    synapses: int
    delay_steps: int
    depth: int
    firing_rate: float
    cores: int | None = None
    synapse_bytes: int | None = None
    weights: tuple[int, int] | None = None
    threshold: int | None = None
    decay: int | None = None
    rounding_error: float | None = None
    state: tuple[float, float] | None = None
    state_used: float | None = None
    clipped: int | None = None


@dataclass(frozen=True)
class Measurement:
    """What `measure` found.

    Attributes:
        target: Name of the target.
        arithmetic: Names of its arithmetic: "float" in real numbers, "chip" in its own.
        simulated: Whether the target was simulated.
        samples: Samples that ran.
        accuracy: In [0, 1]: "pytorch", and the two of `arithmetic`.
        agreement: Share of samples with PyTorch's class.
        comparisons: Spike for spike, PyTorch against real numbers first.
        layers: One for each population, in the order of the graph.
        traffic: Latency in steps, and spikes, packets and synaptic events of a sample.
        energy: Energy of a sample, modelled by each of the target's prices, then as the target's
            own software estimates it.
        seconds: Wall-clock time of each arithmetic.
        placement: Which neurons lie on which core, on a chip with cores.
        details: What the target says of itself.
    """

    target: str
    arithmetic: dict[str, str]
    simulated: bool
    samples: int
    accuracy: dict[str, float]
    agreement: float
    comparisons: list[ArithmeticComparison]
    layers: list[ChipLayer]
    traffic: dict[str, float]
    energy: list[EnergyEstimate]
    seconds: dict[str, float]
    placement: Placement | None
    details: dict[str, Any]


@dataclass(frozen=True)
class PlannedLayer:
    """What one population takes of the chips, and what it sends between them.

    Attributes:
        layer: Name of the population.
        neurons: Its neurons.
        synapses: Synapses that lead to them.
        cores: Cores that hold it.
        first_chip: The first of its chips, which follow one another.
        last_chip: The last of them.
        rate: Packets that a neuron sends in a timestep.
        packets: Packets that it sends in a timestep.
        crossing: Of these, counted once for each other chip that a packet goes to.
    """

    layer: str
    neurons: int
    synapses: int
    cores: int
    first_chip: int
    last_chip: int
    rate: float
    packets: float
    crossing: float


@dataclass(frozen=True)
class PlannedChip:
    """What lies on one chip, and what it exchanges with others in a timestep.

    Attributes:
        layer: The population with most cores here.
        cores: Cores in use.
        sent: Packets to other chips.
        received: Packets from other chips.
    """

    layer: str
    cores: int
    sent: float
    received: float


@dataclass(frozen=True)
class PlacementPlan:
    """An estimate of the chips that a network takes.

    Attributes:
        target: Name of the target, for people.
        limits: What a core and a chip hold.
        largest_system: Chips of the largest system built; None if that is not known.
        measured: Whether rates are measured; else one is assumed for all populations.
        layers: In the order of the graph.
        chips: In order; what comes in with a sample is sent by the host and counted nowhere.
    """

    target: str
    limits: ChipLimits
    largest_system: int | None
    measured: bool
    layers: list[PlannedLayer]
    chips: list[PlannedChip]

    @property
    def num_cores(self) -> int:
        """Cores in use."""
        return sum(chip.cores for chip in self.chips)

    @property
    def num_neurons(self) -> int:
        """Neurons of all layers."""
        return sum(layer.neurons for layer in self.layers)

    @property
    def num_synapses(self) -> int:
        """Synapses of all layers."""
        return sum(layer.synapses for layer in self.layers)

    @property
    def packets(self) -> float:
        """Packets of all neurons in a timestep."""
        return sum(layer.packets for layer in self.layers)

    @property
    def crossing(self) -> float:
        """Packets between chips in a timestep, counted once for each chip that they go to."""
        return sum(layer.crossing for layer in self.layers)

    @property
    def busiest(self) -> PlannedChip:
        """The chip that exchanges most packets with others."""
        return max(self.chips, key=lambda chip: chip.sent + chip.received)


def arithmetic_label(name: str) -> str:
    """Return what people call a target's arithmetic, in the current locale."""
    key = f"hardware.arithmetic_{name}"
    return t(key) if translations.knows(key) else name
