"""Everything that is worth knowing about a deployed network, from one set of samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from spikeformer.hardware.deployer import INTEGERS, DeployedModel
from spikeformer.hardware.energy import modelled_energy, traffic
from spikeformer.hardware.ir.graph import Array
from spikeformer.hardware.ir.placement import Placement
from spikeformer.hardware.reference import Reference
from spikeformer.hardware.summary import activity, layer_table, state_ranges
from spikeformer.hardware.targets.simulation.simulate import simulate_integers
from spikeformer.hardware.verify import (
    ArithmeticComparison,
    accuracy,
    agreement,
    compare,
    reference_spikes,
)
from spikeformer.i18n import t, translations
from spikeformer.profiling import EnergyEstimate, Technology

PYTORCH, PYTORCH_FLOAT32 = "pytorch_float64", "pytorch_float32"
GRAPH = "graph_numpy"
"""The graph in NumPy, as a reference."""


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


def measure(
    deployed: DeployedModel,
    reference: Reference,
    targets: Array,
    *,
    prices: Sequence[Technology] = (),
    announce: Callable[[str], None] = lambda text: None,
) -> Measurement:
    """Run a reference's samples on a deployed network, in real numbers and in the target's own.

    Args:
        deployed: The network.
        reference: What PyTorch computed for the samples.
        targets: Their classes, (samples,), or of a language model the next tokens, (samples,
            tokens), below 0 at padding.
        prices: What prices the target's operations.
        announce: Called with a line before anything that may take long.
    """
    compiled, graph = deployed.compiled, deployed.compiled.graph
    expected = reference_spikes(graph, reference)
    announce(_announcement(len(targets), deployed.float_arithmetic))
    start = time.perf_counter()
    real = deployed.execute_float(reference.inputs)
    seconds = {"float": time.perf_counter() - start}
    comparisons = [compare(graph, expected, real).between(PYTORCH, deployed.float_arithmetic)]
    chip = real
    if deployed.arithmetic != deployed.float_arithmetic:
        announce(_announcement(len(targets), deployed.arithmetic))
        start = time.perf_counter()
        chip = deployed.execute(reference.inputs)
        seconds["chip"] = time.perf_counter() - start
    states: dict[str, dict[str, Any]] = {}
    if compiled.integers is not None:
        model, extremes = simulate_integers(compiled.integers, reference.inputs)
        states = state_ranges(extremes, compiled.integers.format)
        if deployed.arithmetic != INTEGERS:
            comparison = compare(graph, model, chip)
            comparisons.append(comparison.between(INTEGERS, deployed.arithmetic))
    if chip is not real:
        comparisons.append(compare(graph, expected, chip).between(PYTORCH, deployed.arithmetic))
    numbers = graph if chip is real else compiled.in_numbers
    outputs = numbers.outputs({**reference.inputs, **chip})
    rates = activity(compiled, chip)
    return Measurement(
        target=compiled.target,
        arithmetic={"float": deployed.float_arithmetic, "chip": deployed.arithmetic},
        simulated=deployed.simulated,
        samples=len(outputs),
        accuracy={
            "pytorch": accuracy(reference.outputs, targets),
            "float": accuracy(graph.outputs({**reference.inputs, **real}), targets),
            "chip": accuracy(outputs, targets),
        },
        agreement=agreement(outputs, reference.outputs, targets),
        comparisons=comparisons,
        layers=[
            ChipLayer(**{**row, **rates[row["layer"]], **states.get(row["layer"], {})})
            for row in layer_table(compiled)
        ],
        traffic={**traffic(graph, chip), **deployed.traffic},
        energy=[
            *modelled_energy(prices, graph, {**reference.inputs, **chip}),
            *deployed.estimates,
        ],
        seconds=seconds,
        placement=compiled.placement,
        details=compiled.details,
    )


def arithmetic_label(name: str) -> str:
    """Return what people call a target's arithmetic, in the current locale."""
    key = f"hardware.arithmetic_{name}"
    return t(key) if translations.knows(key) else name


def _announcement(samples: int, arithmetic: str) -> str:
    return t("hardware.samples_in", samples=samples, arithmetic=arithmetic_label(arithmetic))
