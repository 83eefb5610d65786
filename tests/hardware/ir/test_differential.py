from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeformer.conversion.coding.coding import Coding
from spikeformer.conversion.coding.neuron import fire, level
from spikeformer.hardware.ir.differential import DifferentialNeurons, FunctionNeurons, Scheme, cut


@pytest.mark.parametrize("neuron_model", ["IF", "LIF"])
@pytest.mark.parametrize(("levels", "mantissa"), [(1, 0), (8, 0), (5, 2), (12, 1)])
def test_events_are_those_of_the_converted_networks_neurons(neuron_model, levels, mantissa):
    coding = Coding(neuron_model=neuron_model, levels=levels, mantissa=mantissa)
    random = torch.Generator().manual_seed(levels)
    x = torch.randn(9, 200, generator=random, dtype=torch.float64)
    theta = torch.rand(200, generator=random, dtype=torch.float64) + 0.1
    scheme = Scheme(levels, mantissa, coding.leak)
    unit = (theta / scheme.largest).numpy()
    neurons = DifferentialNeurons(scheme, unit, np.zeros(200))
    rates = fire(x, theta, None, 1, coding).rates.numpy()
    before = np.zeros(200)
    for t, target in enumerate(x.numpy(), 1):
        neurons.fire(np.zeros(200), target - before, t)
        before = target
        np.testing.assert_allclose(neurons.rate, rates[t - 1], atol=1e-12)


@pytest.mark.parametrize(("levels", "mantissa"), [(1, 0), (4, 0), (3, 1), (4, 3)])
def test_sizes_and_reaches_are_those_of_the_coding(levels, mantissa):
    scheme, coding = Scheme(levels, mantissa), Coding(levels=levels, mantissa=mantissa)
    reach = np.linspace(0, 1.5 * scheme.largest, 4001)
    sizes = scheme.sizes[np.searchsorted(scheme.reaches, 4 * reach, side="right")]
    one = torch.ones((), dtype=torch.float64)
    expected = level(torch.from_numpy(reach / scheme.largest), one, coding) * scheme.largest
    np.testing.assert_array_equal(sizes, expected.numpy())


def _whole(x, unit, scheme, most):
    """One neuron in Python's integers, step by step as the module's text says."""
    held = lambda value: max(-most, min(most, value))  # noqa: E731
    r = lost = 0
    events = []
    for t, target in enumerate(x, 1):
        weight = round(4096 / t)
        m = held(t * (held(target) - r) - lost)
        size = max(
            (
                p
                for p, k in zip(scheme.sizes[1:], scheme.reaches, strict=True)
                if 4 * abs(m) >= int(k) * unit
            ),
            default=0,
        )
        n = int(size) * (1 if m > 0 else -1)
        events.append(n)
        r = held(r + _cut(n * unit * weight))
        lost = held(lost + _cut((m - n * unit) * round(scheme.leak * 4096)))
    return events


def _cut(product):
    return -(-product >> 12) if product < 0 else product >> 12


@pytest.mark.parametrize("mantissa", [0, 2])
def test_integers_are_those_of_exact_arithmetic(mantissa):
    rng = np.random.default_rng(0)
    most = 2**23 - 1
    scheme = Scheme(8, mantissa, Coding().leak, most)
    units = rng.integers(1, 900, 30)
    x = rng.integers(-(2**23), 2**23, (7, 30)) // rng.choice([1, 40, 3000], 30)
    neurons = DifferentialNeurons(scheme, units, np.zeros(30))
    before, found = np.zeros(30, np.int64), []
    for t, target in enumerate(x, 1):
        # A driven state stays within its range here, so that it is what was sent.
        inside = target.clip(-most, most)
        found.append(neurons.fire(np.zeros(30, np.int64), inside - before, t))
        before = inside
    for index, unit in enumerate(units.tolist()):
        expected = _whole(x[:, index].tolist(), unit, scheme, most)
        assert [int(events[index]) for events in found] == expected
    assert neurons.clipped.sum() > 0  # t (x - r) of what is far beyond the largest event


def test_a_sum_is_weighted_and_cut_off_towards_zero():
    assert cut(np.array([5, -5, 4096, -4097]), 2048).tolist() == [2, -2, 2048, -2048]
    scheme = Scheme(8, max_state=2**23 - 1)
    assert [scheme.weight(t) for t in (1, 2, 3)] == [1.0, 0.5, 1365 / 4096]
    np.testing.assert_array_equal(scheme.weighted(np.array([-9, 9]), 3), [-2, 2])
    assert Scheme(8).weight(3) == 1 / 3


def test_a_sample_begins_anew_at_timestep_one():
    neurons = DifferentialNeurons(Scheme(4, 0, 0.1), np.full(3, 0.1), np.array([0.0, 0.5, -0.3]))
    first = [neurons.fire(np.array([0.2, 0.1, 0.0]), 0, t) for t in (1, 2, 3)]
    again = [neurons.fire(np.array([0.2, 0.1, 0.0]), 0, t) for t in (1, 2, 3)]
    np.testing.assert_array_equal(first, again)
    assert np.any(first)


def test_neurons_that_compute_send_what_changed_in_their_function():
    """Two samples of three timesteps: events weighted, changes not, and no state in between."""
    random = np.random.default_rng(0)
    events, changes = random.normal(size=(2, 2, 3, 4))
    start = random.normal(size=4)
    neurons = FunctionNeurons("product", start)
    for sample in range(2):
        sent = [neurons.fire(events[sample, t - 1], changes[sample, t - 1], t) for t in (1, 2, 3)]
        weighted = events[sample] / np.array([[1], [2], [3]]) + changes[sample]
        x = start + weighted.cumsum(axis=0)
        np.testing.assert_allclose(np.cumsum(sent, axis=0)[:, :2], x[:, :2] * x[:, 2:])
        assert not np.any(np.array(sent)[:, 2:])
