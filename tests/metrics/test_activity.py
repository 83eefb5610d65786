from __future__ import annotations

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.metrics import FiringRate, SaturatedNeurons, SilentNeurons

METRICS = [FiringRate, SilentNeurons, SaturatedNeurons]


def batches():
    """Three batches of unequal size over 5 neurons: silent, saturated, and three between."""
    rates = torch.tensor([0.0, 1.0, 0.2, 0.5, 0.9])
    return [(torch.rand(n, 4, 5) < rates).float() for n in (3, 1, 6)]


def test_against_counts():
    parts = batches()
    seen = torch.cat([part.flatten(0, 1) for part in parts])
    rate, silent, saturated = FiringRate(), SilentNeurons(), SaturatedNeurons(rate=0.85)
    for metric in (rate, silent, saturated):
        for part in parts:
            metric.update(part)
    counts = [sum(int(s) for s in column) for column in seen.T.tolist()]
    assert rate.compute().item() == pytest.approx(sum(counts) / seen.numel())
    assert silent.compute().item() == pytest.approx(sum(c == 0 for c in counts) / 5)
    high = sum(c / len(seen) >= 0.85 for c in counts) / 5
    assert saturated.compute().item() == pytest.approx(high)
    assert silent.compute().item() == pytest.approx(0.2)
    assert high in (0.2, 0.4)
    torch.testing.assert_close(silent.rates[0], torch.tensor(counts).double() / len(seen))


def test_a_neuron_at_the_rate_counts_as_saturated():
    spikes = torch.ones(1, 20, 2)
    spikes[0, 0, 0] = 0  # 0.95
    spikes[0, :2, 1] = 0  # 0.9
    metric = SaturatedNeurons()
    metric.update(spikes)
    assert metric.compute().item() == 0.5


def test_one_spike_is_enough_not_to_be_silent():
    spikes = torch.zeros(2, 50, 4)
    spikes[1, 49, 2] = 1
    metric = SilentNeurons()
    metric.update(spikes)
    assert metric.compute().item() == 0.75


@pytest.mark.parametrize("kind", METRICS)
def test_nothing_seen_is_nothing(kind):
    with pytest.warns(UserWarning, match="before the ``update``"):
        assert kind().compute().item() == 0.0


@pytest.mark.parametrize("kind", METRICS)
def test_reset_forgets_and_allows_another_layer(kind):
    metric = kind()
    metric.update(torch.ones(2, 3, 4))
    before = metric.compute()
    metric.reset()
    metric.update(torch.zeros(2, 3, 7))
    metric.update(torch.ones(2, 3, 7))
    assert metric.compute() != before or kind is SilentNeurons
    metric.reset()
    metric.update(torch.ones(2, 3, 4))
    assert metric.compute() == before


@pytest.mark.parametrize("kind", METRICS)
def test_two_processes_add_up(kind):
    parts = batches()
    whole, first, second = kind(), kind(), kind()
    for part in parts:
        whole.update(part)
    first.update(parts[0])
    for part in parts[1:]:
        second.update(part)
    merged = kind()
    for name, reduction in merged._reductions.items():
        both = torch.stack([getattr(first, name), getattr(second, name)])
        setattr(merged, name, reduction(both))
    merged._update_count = 1
    assert whole.compute() == merged.compute()
    assert whole.compute() > 0


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.bool])
def test_counts_are_exact_in_any_dtype(kind, dtype):
    # 3000 is no bfloat16: a count in the dtype of the spikes would be wrong.
    spikes = torch.ones(1, 3000, 2, dtype=dtype)
    spikes[0, 0, 0] = 0
    metric = kind()
    metric.update(spikes)
    expected = {FiringRate: 5999 / 6000, SilentNeurons: 0.0, SaturatedNeurons: 1.0}[kind]
    assert metric.compute().item() == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("kind", METRICS[1:])
def test_another_layer_is_refused(kind):
    metric = kind()
    metric.update(torch.ones(2, 3, 4))
    with pytest.raises(ArgumentError, match="a layer of 4 neurons in each row"):
        metric.update(torch.ones(2, 3, 5))


def test_bad_rate():
    with pytest.raises(ArgumentError, match="`rate`"):
        SaturatedNeurons(rate=1.5)


def test_rows_may_come_and_go_as_sentences_have_other_lengths():
    # (batch, timesteps, tokens, channels): the third token was seen in the second batch alone.
    short, long = torch.zeros(1, 10, 2, 2), torch.zeros(3, 10, 3, 2)
    short[..., 0, 0] = 1.0  # saturated in both
    long[..., 0, 0] = 1.0
    long[..., 2, 1] = 1.0  # saturated wherever it was seen
    long[..., 1, 1] = 1.0  # 30 of 40 steps
    for order in ((short, long, short[:0]), (long, short)):
        saturated, silent = SaturatedNeurons(), SilentNeurons()
        for spikes in order:
            saturated.update(spikes)
            silent.update(spikes)
        assert saturated.compute().item() == pytest.approx(2 / 6)
        assert silent.compute().item() == pytest.approx(3 / 6)
        assert saturated.rates[1].tolist() == [0.0, 0.75]
    with pytest.raises(ArgumentError, match="a layer of 2 neurons in each row"):
        saturated.update(torch.zeros(1, 10, 3, 4))
