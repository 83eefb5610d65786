from __future__ import annotations

import copy
import io
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeformer.encoding import PoissonCoding, RateCoding
from spikeformer.error_handling import ArgumentError
from spikeformer.neurons import LifNeuron, LifState


@given(st.integers(0, 256), st.integers(1, 64))
def test_every_prefix_holds_the_rounded_count(numerator, timesteps):
    # Multiples of 1/256 make every product exact.
    spikes = RateCoding(timesteps).encode(torch.tensor([numerator / 256])).flatten()
    for n in range(timesteps + 1):
        expected = (2 * numerator * n + 256) // 512  # round half up, in integers
        assert spikes[:n].sum().item() == expected
    assert set(spikes.tolist()) <= {0.0, 1.0}


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=5), st.integers(1, 64))
def test_any_value_gets_as_many_binary_spikes_as_it_asks_for(values, timesteps):
    x = torch.tensor(values)
    spikes = RateCoding(timesteps).encode(x)
    assert set(spikes.unique().tolist()) <= {0.0, 1.0}
    assert bool(((spikes.sum(1) - timesteps * x).abs() <= 0.5 + 1e-4).all())


def test_is_an_integrate_and_fire_neuron_started_at_half_its_threshold():
    x = torch.arange(0, 257, 8).view(1, -1) / 256
    neuron = LifNeuron(tau_mem=1e12)
    expected, _ = neuron(x.unsqueeze(1).expand(-1, 32, -1), LifState(torch.full_like(x, 0.5)))
    assert torch.equal(RateCoding(32).encode(x), expected)


def test_spikes_are_evenly_spaced():
    spikes = RateCoding(40).encode(torch.tensor([0.2, 0.25, 1.0]))
    for row, interval in zip(spikes, (5, 4, 1), strict=True):
        assert set(row.nonzero().flatten().diff().tolist()) == {interval}


@pytest.mark.parametrize("max_rate", [50.0, 400.0, 1000.0])
def test_poisson_rate(max_rate):
    # 5 standard deviations of a binomial; the seed is fixed, so this never flickers.
    x, steps, copies = torch.tensor([0.0, 0.1, 0.5, 1.0]), 250, 400
    encoder = PoissonCoding(steps, max_rate, seed=3)
    rate = encoder.encode(x.expand(copies, -1)).mean(dim=(0, 1))
    p = x * max_rate / 1000
    bound = 5 * (p * (1 - p) / (steps * copies)).sqrt()
    assert bool(((rate - p).abs() <= bound).all())
    assert rate[0] == 0
    if max_rate == 1000.0:
        assert rate[3] == 1.0


def test_poisson_spikes_are_independent_in_time_and_across_values():
    spikes = PoissonCoding(2000, 500.0, seed=0).encode(torch.ones(1, 2))[0]
    centred = spikes - 0.5
    for a, b in ((centred[:-1, 0], centred[1:, 0]), (centred[:, 0], centred[:, 1])):
        assert abs((a * b).mean().item()) < 5 * 0.25 / math.sqrt(2000)


def test_a_seeded_encoder_repeats_and_goes_on():
    x = torch.full((2, 8), 0.5)
    first, second = (PoissonCoding(16, 500.0, seed=5) for _ in range(2))
    torch.manual_seed(1)
    a = [first.encode(x) for _ in range(3)]
    torch.manual_seed(2)
    b = [second.encode(x) for _ in range(3)]
    assert all(torch.equal(one, two) for one, two in zip(a, b, strict=True))
    assert not torch.equal(a[0], a[1])
    assert not torch.equal(a[0], PoissonCoding(16, 500.0, seed=6).encode(x))


def test_an_unseeded_encoder_draws_from_the_global_stream():
    x, encoder = torch.full((2, 8), 0.5), PoissonCoding(16, 500.0)
    torch.manual_seed(1)
    expected = encoder.encode(x)
    torch.manual_seed(1)
    assert torch.equal(encoder.encode(x), expected)
    assert not torch.equal(encoder.encode(x), expected)


def test_a_seeded_encoder_leaves_the_global_stream_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    PoissonCoding(16, seed=0).encode(torch.full((4, 3), 0.5))
    assert torch.equal(torch.rand(3), expected)


def test_a_checkpoint_goes_on_where_the_encoder_stopped():
    x = torch.full((2, 8), 0.5)
    encoder = PoissonCoding(16, 500.0, seed=5)
    encoder.encode(x)
    file = io.BytesIO()
    torch.save(encoder.state_dict(), file)
    expected = encoder.encode(x)
    file.seek(0)
    resumed = PoissonCoding(16, 500.0, seed=5)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    # Saving again before the first draw loses nothing either.
    again = PoissonCoding(16, 500.0, seed=5)
    again.load_state_dict(resumed.state_dict())
    assert torch.equal(resumed.encode(x), expected)
    assert torch.equal(again.encode(x), expected)


def test_the_state_of_a_fresh_encoder_starts_from_its_seed():
    x = torch.full((2, 8), 0.5)
    encoder, fresh = (PoissonCoding(16, 500.0, seed=5) for _ in range(2))
    expected = encoder.encode(x)
    encoder.load_state_dict(fresh.state_dict())
    assert torch.equal(encoder.encode(x), expected)


def test_a_copy_goes_on_by_itself():
    x = torch.full((2, 8), 0.5)
    encoder = PoissonCoding(16, 500.0, seed=5)
    encoder.encode(x)
    copied = copy.deepcopy(encoder)
    assert torch.equal(copied.encode(x), encoder.encode(x))


def test_a_compiled_encoder_goes_on_without_compiling_again():
    x, graphs = torch.full((2, 8), 0.5), []

    def count(graph, inputs):
        graphs.append(graph)
        return graph

    encoder = PoissonCoding(16, 500.0, seed=5)
    compiled = torch.compile(PoissonCoding(16, 500.0, seed=5), fullgraph=True, backend=count)
    for _ in range(3):
        assert torch.equal(compiled(x), encoder(x))
    assert len(graphs) == 1


def test_seeds_of_neighbours_share_no_call():
    x = torch.full((2, 8), 0.5)
    first, second = (PoissonCoding(16, 500.0, seed=seed) for seed in (5, 6))
    trains = [encoder.encode(x) for encoder in (first, first, second, second)]
    for i, train in enumerate(trains):
        assert not any(torch.equal(train, other) for other in trains[:i])


@pytest.mark.parametrize("max_rate", [0.0, -1.0, 1000.1, math.nan])
def test_bad_rates(max_rate):
    with pytest.raises(ArgumentError, match=r"`max_rate`.*1000 Hz"):
        PoissonCoding(max_rate=max_rate)


def test_repr():
    text = repr(PoissonCoding(8, 50.0, seed=1))
    assert text == "PoissonCoding(timesteps=8, max_rate=50.0, seed=1)"
