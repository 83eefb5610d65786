from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeformer.encoding import DeltaCoding
from spikeformer.error_handling import ArgumentError


def scalar_tracker(signal, threshold):
    tracker, spikes = 0.0, []
    for x in signal:
        lag = x - tracker
        s = math.copysign(1.0, lag) if abs(lag) >= threshold else 0.0
        tracker += threshold * s
        spikes.append(s)
    return spikes


def test_equals_a_scalar_tracker():
    signal = (torch.randn(2, 30, 3) * 8).round() / 16
    spikes = DeltaCoding(threshold=0.25).encode_sequence(signal)
    assert set(spikes.unique().tolist()) == {-1.0, 0.0, 1.0}
    for b in range(2):
        for f in range(3):
            assert spikes[b, :, f].tolist() == scalar_tracker(signal[b, :, f].tolist(), 0.25)


@given(st.floats(-1, 1, width=32), st.sampled_from([0.05, 0.125, 0.3, 1.0]))
def test_a_held_value_is_rebuilt_to_within_the_threshold(value, threshold):
    steps = math.ceil(1 / threshold) + 1
    spikes = DeltaCoding(steps, threshold).encode(torch.tensor([value])).flatten()
    count = spikes.sum().item()
    assert abs(value - threshold * count) <= threshold * (1 + 1e-5)
    assert abs(count) == spikes.abs().sum().item()  # never back and forth
    assert spikes[-1] == 0  # it has caught up and fallen silent


def test_encoding_holds_each_value():
    x = torch.rand(3, 4) * 2 - 1
    coding = DeltaCoding(6, threshold=0.2)
    held = x.unsqueeze(1).expand(-1, 6, -1)
    assert torch.equal(coding.encode(x), coding.encode_sequence(held))


def test_a_signal_slower_than_the_threshold_is_tracked_throughout():
    time = torch.linspace(0, 6 * math.pi, 600)
    signal = (0.9 * torch.sin(time)).view(1, -1, 1)
    spikes = DeltaCoding(threshold=0.05).encode_sequence(signal)
    rebuilt = 0.05 * spikes.cumsum(1)
    assert (rebuilt - signal).abs().max() <= 0.05 + 1e-5


@pytest.mark.parametrize("threshold", [0.0, -0.1, math.nan])
def test_bad_thresholds(threshold):
    with pytest.raises(ArgumentError, match="`threshold`"):
        DeltaCoding(threshold=threshold)
