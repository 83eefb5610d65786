from __future__ import annotations

import math

import pytest
import torch
from lightning.pytorch.plugins import DoublePrecision

from spikeformer.conversion import Coding, fire


def messages_of_the_publication(x, theta, levels, leak):
    """The neuron as published, on messages: scalar by scalar."""
    membrane = rate_in = rate_out = 0.0
    rates, events = [], 0
    for t, value in enumerate(x, start=1):
        message = t * (value - rate_in)
        membrane = (1 - leak) * membrane + message + rate_in - rate_out
        spike = 0.0
        for i in range(levels):
            if abs(membrane) >= 0.75 * theta / 2**i:
                spike = math.copysign(theta / 2**i, membrane)
                break
        membrane -= spike
        rate_in += message / t
        rate_out += spike / t
        events += spike != 0
        rates.append(rate_out)
    return rates, events


@pytest.mark.parametrize("coding", [Coding(neuron_model="IF"), Coding(levels=3, tau_mem=20.0)])
def test_rates_are_those_of_the_published_messages(coding):
    x = torch.randn(6, 40)
    fired = fire(x, torch.tensor(0.9), None, 1, coding)
    total = 0
    for neuron in range(40):
        column = x[:, neuron].tolist()
        rates, events = messages_of_the_publication(column, 0.9, coding.levels, coding.leak)
        total += events
        torch.testing.assert_close(
            fired.rates[:, neuron], torch.tensor(rates), atol=1e-5, rtol=1e-4
        )
    assert int(fired.events.sum()) == total


@pytest.mark.parametrize("neuron_model", ["IF", "LIF"])
@pytest.mark.parametrize("encoding", ["rate", "binary"])
def test_time_can_be_cut_anywhere(neuron_model, encoding):
    x = torch.randn(6, 3, 50).transpose(1, 2)
    coding = Coding(encoding, neuron_model)
    whole = fire(x, torch.tensor(1.0), None, 1, coding)
    first = fire(x[:2], torch.tensor(1.0), None, 1, coding)
    second = fire(x[2:], torch.tensor(1.0), first.state, 3, coding)
    assert torch.equal(torch.cat([first.rates, second.rates]), whole.rates)
    assert torch.equal(torch.cat([first.events, second.events]), whole.events)


@pytest.mark.parametrize("neuron_model", ["IF", "LIF"])
def test_fire_does_not_depend_on_the_default_precision(neuron_model):
    """Inside a trainer with `precision=64-true` new tensors have 64 bits."""
    x, coding = torch.randn(4, 3, 50), Coding(neuron_model=neuron_model)
    expected = fire(x, torch.tensor(1.0), None, 1, coding)
    with DoublePrecision().forward_context(), torch.no_grad():
        assert torch.get_default_dtype() == torch.float64
        found = fire(x, torch.tensor(1.0, dtype=torch.float32), None, 1, coding)
    assert found.state.rate.dtype == torch.float32
    assert torch.equal(found.rates, expected.rates)


def test_a_constant_that_does_not_move_in_memory():
    x = torch.randn(3, 8)
    theta = torch.tensor(1.0)
    moved = fire(x.expand(5, 3, 8), theta, None, 1, Coding())
    assert torch.equal(moved.rates, fire(x.repeat(5, 1, 1), theta, None, 1, Coding()).rates)


def test_the_error_shrinks_with_time_and_large_values_are_reached():
    x = torch.linspace(-1, 1, 101).expand(16, 101)
    errors = (fire(x, torch.tensor(1.0), None, 1, Coding(neuron_model="IF")).rates - x).abs()
    assert errors[7].max() < 1e-3 < 0.05 < errors[0].max()
    far = fire(torch.full((32, 1), 3.0), torch.tensor(1.0), None, 1, Coding(neuron_model="IF"))
    assert far.rates[-1].item() == pytest.approx(3.0, abs=1e-2)


def test_binary_rates_are_counts_of_one_size():
    x = torch.rand(8, 200).mul(2).sub(1)[:1].expand(8, 200)
    fired = fire(x, torch.tensor(1.0), None, 1, Coding("binary", "IF"))
    counts = fired.rates[-1] * 8
    torch.testing.assert_close(counts, counts.round())
    assert (fired.rates[-1] - x[-1]).abs().max() <= 0.5 / 8 + 1e-6
    spikes = torch.diff(
        fired.rates * torch.arange(1, 9)[:, None], dim=0, prepend=torch.zeros(1, 200)
    )
    assert set(spikes.round().unique().tolist()) <= {-1.0, 0.0, 1.0}


def test_radix_digits_add_up():
    x = torch.linspace(-1.2, 1.2, 97).unsqueeze(0)
    fired = fire(x, torch.tensor(1.0), None, 8, Coding("radix", "IF"))
    assert (fired.rates[0] - x[0]).abs().max() <= 0.75 / 2**7 + 1e-6
    assert int(fired.events[-1]) < 8 * 97 * 0.6
    grid = fired.rates * 2**7
    torch.testing.assert_close(grid, grid.round())


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("encoding", ["rate", "radix"])
def test_what_is_not_finite_is_told(bad, encoding):
    x = torch.zeros(4, 3000)
    assert fire(x, torch.tensor(1.0), None, 1, Coding(encoding)).finite
    x[-1, 2999] = bad
    assert not fire(x, torch.tensor(1.0), None, 1, Coding(encoding)).finite


@pytest.mark.parametrize("neuron_model", ["IF", "LIF"])
def test_radix_digits_leak_from_one_to_the_next(neuron_model):
    coding = Coding("radix", neuron_model, tau_mem=5.0)
    values, theta, digits = torch.linspace(-1.4, 1.4, 57), 1.0, 6
    expected, events = [], 0
    for membrane in values.tolist():
        rate = 0.0
        for step in range(digits):
            size = theta / 2**step
            digit = math.copysign(size, membrane) if abs(membrane) >= 0.75 * size else 0.0
            rate += digit
            events += digit != 0
            membrane = (1 - coding.leak) * (membrane - digit)
        expected.append(rate)
    fired = fire(values[None], torch.tensor(theta), None, digits, coding)
    torch.testing.assert_close(fired.rates[0], torch.tensor(expected))
    assert int(fired.events.sum()) == events


@pytest.mark.parametrize("mantissa", [0, 1, 2])
def test_a_spike_has_the_nearest_size_that_there_is(mantissa):
    coding = Coding(neuron_model="IF", levels=5, mantissa=mantissa)
    parts = 2**mantissa
    sizes = {2.0**-i * (1 + k / parts) for i in range(5) for k in range(parts)}
    sizes = torch.tensor(sorted(size for size in sizes if size <= 1.0))
    x = torch.linspace(-1.5, 1.5, 4001)
    x = x[x.abs() >= sizes[0]]
    rates = fire(x.unsqueeze(0), torch.tensor([1.0]), None, 1, coding).rates[0]
    nearest = sizes[(x.abs().unsqueeze(1) - sizes).abs().argmin(dim=1)] * x.sign()
    gaps = (x.abs().unsqueeze(1) - sizes).abs().topk(2, largest=False).values
    clear = gaps.diff()[:, 0].abs() > 1e-6
    assert torch.equal(rates[clear], nearest[clear])
    within = x[x.abs() <= 1]
    worst = ((rates[x.abs() <= 1] - within) / within).abs().max().item()
    assert worst == pytest.approx(1 / (2 * parts + 1), abs=2e-3)


def test_small_values_below_the_smallest_size_stay_silent():
    for mantissa in (0, 1, 2):
        coding = Coding(neuron_model="IF", levels=3, mantissa=mantissa)
        fired = fire(torch.tensor([[0.18, 0.26]]), torch.tensor([1.0]), None, 1, coding)
        assert fired.events.tolist() == [1]
        assert fired.rates[0].tolist() == [0.0, 0.25]
