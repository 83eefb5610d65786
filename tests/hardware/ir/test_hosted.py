from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import Population, SpikeGraph, simulate
from spikeformer.hardware.ir.runtime import RATE, HostOperation
from tests.hardware.networks import hosted


def test_multiplications_are_those_of_the_layers():
    """Two blocks over five tokens of 32 channels, four heads, 48 within, five classes."""
    graph, _ = hosted()
    counts = graph.multiplications
    block = 5 * (4 * 32 * 32 + 2 * 32 * 48)
    assert counts["chip"] == 2 * block + 32 * 5
    products = 2 * 5 * 5 * 32  # of queries with keys, and of probabilities with values
    norms, scaled, gelu = 2 * 5 * 32, 2 * 4 * 5 * 5, 5 * 48  # scores are scaled, then softmax
    assert counts["host"] == 2 * (products + scaled + gelu) + (2 * norms - 5 * 32) + 5 * 32
    # Before any event: the convolution of four patches, and the first norm.
    assert counts["host_once"] == 4 * 32 * 3 * 8 * 8 + 5 * 32
    share = graph.timesteps * counts["chip"]
    rest = graph.timesteps * counts["host"] + counts["host_once"]
    assert graph.chip_share == pytest.approx(share / (share + rest))


def test_outputs_follow_from_what_was_recorded():
    graph, inputs = hosted()
    events = simulate(graph, inputs)
    outputs = graph.outputs({**inputs, **events})
    last = graph.populations[graph.output]
    weights = np.arange(1, graph.timesteps + 1)[:, None]
    bias = graph.constants[f"{graph.output}:bias"]
    expected = (events[last.name] / weights).sum(axis=1) + bias
    np.testing.assert_allclose(outputs, expected, atol=1e-14)


def _without(graph, name):
    return replace(graph, functions=tuple(f for f in graph.functions if f.name != name))


def test_what_is_no_graph_is_refused():
    graph, inputs = hosted()
    rate = next(f for f in graph.functions if f.function == RATE)
    norm = next(f for f in graph.functions if f.function == "native_layer_norm")
    with pytest.raises(HardwareCompatibilityError, match="comes before"):
        _without(graph, rate.name)
    with pytest.raises(HardwareCompatibilityError, match="comes before what it takes"):
        replace(graph, functions=(replace(rate, depth=rate.depth + 1), *graph.functions))
    with pytest.raises(HardwareCompatibilityError, match="no value 'nothing'"):
        replace(graph, output="nothing")
    first = graph.differential[0]
    for wrong in (
        replace(first, source=None),
        replace(first, unit=first.unit[:-1]),
        replace(first, unit=-first.unit),
        replace(first, source=graph.output),
        replace(first, rule="sum"),
    ):
        with pytest.raises(HardwareCompatibilityError, match=first.name):
            replace(graph, populations={**graph.populations, first.name: wrong})
    functions = [replace(f, arguments=f.arguments[:1]) if f is norm else f for f in graph.functions]
    with pytest.raises(HardwareCompatibilityError, match="cannot compute"):
        simulate(replace(graph, functions=tuple(functions)), inputs)


def test_its_neurons_are_refused_in_any_other_graph():
    neurons = Population("n", (2,), rule="differential")
    source = Population("in", (2,), "values")
    with pytest.raises(HardwareCompatibilityError, match="only those of a converted network"):
        SpikeGraph(2, {"in": source, "n": neurons}, ())


def test_a_function_takes_its_settings_values_too():
    function = HostOperation("y", "add", ({"value": "a"}, 1), {"other": {"value": "b"}})
    assert function.values == ["a", "b"]
