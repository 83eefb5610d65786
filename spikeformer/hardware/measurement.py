"""Everything that is worth knowing about a deployed network, from one set of samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from spikeformer.hardware.deployer import INTEGERS, DeployedModel, traffic
from spikeformer.hardware.energy import modelled_energy
from spikeformer.hardware.ir.graph import Array, Arrays, SpikeGraph
from spikeformer.hardware.reference import Reference
from spikeformer.hardware.summary import activity, layer_table, state_ranges
from spikeformer.hardware.targets.simulation.simulate import simulate_integers
from spikeformer.hardware.verify import accuracy, agreement, compare, reference_spikes
from spikeformer.i18n import t, translations
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
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Run a reference's samples on a deployed network, in real numbers and in the target's own.

    Args:
        deployed: The network.
        reference: What PyTorch computed for the samples.
        targets: Their classes, (samples,).
        prices: What prices the target's operations.
        tell: Called with a line before anything that may take long.

    Returns:
        Plain values that JSON holds: `comparisons` spike for spike, `accuracy` and `agreement`,
        `layers` (a row each), `traffic`, `energy`, `seconds`, `placement`, `arithmetic` and
        `details`.
    """
    compiled, graph = deployed.compiled, deployed.compiled.graph
    expected = reference_spikes(graph, reference)
    tell(_announcement(len(targets), deployed.float_arithmetic))
    start = time.perf_counter()
    real = deployed.execute_float(reference.inputs)
    seconds = {"float": time.perf_counter() - start}
    comparisons = [_compared(graph, PYTORCH, deployed.float_arithmetic, expected, real)]
    chip = real
    if deployed.arithmetic != deployed.float_arithmetic:
        tell(_announcement(len(targets), deployed.arithmetic))
        start = time.perf_counter()
        chip = deployed.execute(reference.inputs)
        seconds["chip"] = time.perf_counter() - start
    states: dict[str, dict[str, Any]] = {}
    if compiled.integers is not None:
        model, extremes = simulate_integers(compiled.integers, reference.inputs)
        states = state_ranges(extremes, compiled.integers.format)
        if deployed.arithmetic != INTEGERS:
            comparisons.append(_compared(graph, INTEGERS, deployed.arithmetic, model, chip))
    if chip is not real:
        comparisons.append(_compared(graph, PYTORCH, deployed.arithmetic, expected, chip))
    outputs = graph.outputs({**reference.inputs, **chip})
    rates = activity(compiled, chip)
    return {
        "target": compiled.target,
        "arithmetic": {"float": deployed.float_arithmetic, "chip": deployed.arithmetic},
        "simulated": deployed.simulated,
        "samples": len(outputs),
        "accuracy": {
            "pytorch": accuracy(reference.outputs, targets),
            "float": accuracy(graph.outputs({**reference.inputs, **real}), targets),
            "chip": accuracy(outputs, targets),
        },
        "agreement": agreement(outputs, reference.outputs),
        "comparisons": comparisons,
        "layers": [
            {**row, **rates[row["layer"]], **states.get(row["layer"], {})}
            for row in layer_table(compiled)
        ],
        "traffic": traffic(graph, chip),
        "energy": modelled_energy(prices, graph, {**reference.inputs, **chip}),
        "seconds": seconds,
        "placement": compiled.placement and compiled.placement.to_dict(),
        "details": compiled.details,
    }


def arithmetic_label(name: str) -> str:
    """Return what people call a target's arithmetic, in the current locale."""
    key = f"hardware.arithmetic_{name}"
    return t(key) if translations.knows(key) else name


def _announcement(samples: int, arithmetic: str) -> str:
    return t("hardware.samples_in", samples=samples, arithmetic=arithmetic_label(arithmetic))


def _compared(
    graph: SpikeGraph, against: str, label: str, expected: Arrays, recorded: Arrays
) -> dict[str, Any]:
    found = compare(graph, expected, recorded)
    return {"expected": against, "recorded": label, **found.to_dict()}
