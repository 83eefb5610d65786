"""Encoding on several threads gives what one gives, bit for bit."""

from __future__ import annotations

import pytest
import torch

from spikeformer.concurrency import encoding, parallel_spike_encoding
from spikeformer.encoding import ENCODERS, PoissonCoding
from spikeformer.error_handling import ArgumentError, SpikingDynamicsError
from tests.cross_platform.trees import platform


@pytest.fixture
def many_cores(monkeypatch):
    monkeypatch.setattr(encoding, "get_platform_info", lambda: platform(cores=4))


@pytest.mark.parametrize("code", [n for n, kind in ENCODERS.items() if not kind.temporal])
@pytest.mark.parametrize("shape", [(64, 3, 17, 19), (1, 5), (2, 70001)])
def test_parallel_spike_encoding_equal_to_the_serial_result(many_cores, code, shape):
    x = torch.rand(shape)
    options = {"seed": 7} if code == "poisson" else {}
    expected = ENCODERS[code](6, **options).encode(x)
    for workers in (1, 2, 3, 4):
        assert torch.equal(parallel_spike_encoding(x, code, 6, workers, **options), expected)


def test_parallel_spike_encoding_threads_are_set_for_the_call_alone(many_cores, monkeypatch):
    seen = []
    spikes = PoissonCoding.spikes

    def watched(self, x):
        seen.append(torch.get_num_threads())
        return spikes(self, x)

    monkeypatch.setattr(PoissonCoding, "spikes", watched)
    for workers in (1, 3, 99):
        parallel_spike_encoding(torch.rand(4, 4), "poisson", 4, workers, seed=0)
    assert seen == [1, 3, 4]
    with pytest.raises(SpikingDynamicsError):
        parallel_spike_encoding(torch.rand(4, 4) + 1, "poisson", 4, 3)
    assert torch.get_num_threads() == 1


def test_parallel_spike_encoding_options_reach_the_encoder():
    x = torch.rand(3, 4) * 2
    spikes = parallel_spike_encoding(x, "rate", 5, clamp=True, backend="reference")
    assert torch.equal(spikes, ENCODERS["rate"](5).encode(x.clamp(0, 1)))
    torch.manual_seed(1)
    first = parallel_spike_encoding(x / 2, "poisson", 50, max_rate=500.0)
    torch.manual_seed(1)
    assert torch.equal(parallel_spike_encoding(x / 2, "poisson", 50, max_rate=500.0), first)


def test_parallel_spike_encoding_wrong_arguments():
    for arguments in (("morse", 4), ("rate", 0), ("rate", 4, 0)):
        with pytest.raises(ArgumentError):
            parallel_spike_encoding(torch.rand(2, 2), *arguments)
