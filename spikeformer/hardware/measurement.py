"""Everything that is worth knowing about a deployed network, from one set of samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from spikeformer.hardware.deployer import INTEGERS, DeployedModel
from spikeformer.hardware.energy import modelled_energy, traffic
from spikeformer.hardware.ir.graph import Array
from spikeformer.hardware.records import (
    ChipLayer,
    Measurement,
    arithmetic_label,
)
from spikeformer.hardware.reference import Reference
from spikeformer.hardware.summary import activity, layer_table, state_ranges
from spikeformer.hardware.targets.simulation.simulate import simulate_integers
from spikeformer.hardware.verify import accuracy, agreement, compare, reference_spikes
from spikeformer.i18n import t
from spikeformer.profiling import Technology

PYTORCH, PYTORCH_FLOAT32 = "pytorch_float64", "pytorch_float32"
GRAPH = "graph_numpy"
"""The graph in NumPy, as a reference."""


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


def _announcement(samples: int, arithmetic: str) -> str:
    return t("hardware.samples_in", samples=samples, arithmetic=arithmetic_label(arithmetic))
