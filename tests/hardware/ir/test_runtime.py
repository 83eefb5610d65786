from __future__ import annotations

import numpy as np
import pytest

from spikeformer.hardware.ir.differential import DifferentialNeurons, Scheme
from spikeformer.hardware.ir.runtime import ENCODE, RATE, Host, HostOperation

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("max_state", [0, 2**23 - 1])
def test_a_rate_adds_up_what_events_count(max_state):
    events = RNG.integers(-9, 9, (2, 3, 6))  # of two samples
    worth, bias, order = RNG.random(6), RNG.random(6), RNG.permutation(6)
    scheme = Scheme(4, max_state=max_state)
    host = Host({"bias": bias, "order": order}, scheme, {"p": worth})
    function = HostOperation(
        "y", RATE, ("p",), {"bias": "bias", "order": "order"}, (1, 2, 3), depth=0
    )
    assert function.values == []
    for sample in events:
        for t in (1, 2, 3):
            host.run(function, values := {}, t, {"p": sample[t - 1]})
            parts = [sample[i - 1] * worth * scheme.weight(i) for i in range(1, t + 1)]
            expected = (sum(parts) + bias)[order].reshape(1, 2, 3)
            np.testing.assert_allclose(values["y"], expected, rtol=1e-14)


def test_neurons_of_the_host_are_those_of_the_chip_in_real_numbers():
    unit = np.array([0.01])
    host = Host({"unit": unit}, Scheme(8, 0, 0.1, max_state=2**23 - 1), {})
    function = HostOperation("y", ENCODE, ({"value": "x"}, {"value": "unit"}), {}, (1, 2, 3))
    neurons, before = (
        DifferentialNeurons(Scheme(8, 0, 0.1), np.full(6, 0.01), np.zeros(6)),
        np.zeros(6),
    )
    for t in range(1, 6):
        x = RNG.normal(size=(1, 2, 3))
        values = {**host.constants, "x": x}
        host.run(function, values, t, {})
        neurons.fire(np.zeros(6), x.ravel() - before, t)
        before = x.ravel()
        np.testing.assert_allclose(values["y"].ravel(), neurons.rate, atol=1e-15)


def test_arguments_may_be_values_lists_and_odd_numbers():
    host = Host({"c": np.array([1.0, 2.0])}, Scheme(4), {})
    cat = HostOperation("both", "cat", ([{"value": "c"}, {"value": "x"}], 0), {}, (4,))
    mask = HostOperation(
        "masked", "masked_fill", ({"value": "both"}, {"value": "m"}, {"number": "-inf"}), {}, (4,)
    )
    assert cat.values == ["c", "x"]
    values = {**host.constants, "x": np.zeros(2), "m": np.array([0, 0, 1, 0])}
    for function in (cat, mask):
        host.run(function, values, 1, {})
    assert values["masked"].tolist() == [1.0, 2.0, -np.inf, 0.0]


def test_a_function_that_gives_another_shape_is_refused():
    function = HostOperation("y", "neg", ({"value": "x"},), {}, (1, 3))
    with pytest.raises(ValueError, match=r"y gave the shape \(1, 2\)"):
        Host({}, Scheme(4), {}).run(function, {"x": np.zeros((1, 2))}, 1, {})
