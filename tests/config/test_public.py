from __future__ import annotations

import math

import pytest

from spikeformer.config import ConcurrencyConfig, FusionConfig, SpikingConfig
from spikeformer.error_handling import ArgumentError


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        (SpikingConfig, {"timesteps": 0}),
        (SpikingConfig, {"timesteps": 4.0}),
        (SpikingConfig, {"threshold": 0.0}),
        (SpikingConfig, {"tau_mem": -1.0}),
        (SpikingConfig, {"tau_adp": math.nan}),
        (SpikingConfig, {"beta": -0.1}),
        (SpikingConfig, {"dropout": 1.5}),
        (FusionConfig, {"fusion_type": "sum"}),
        (FusionConfig, {"num_heads": 0}),
        (FusionConfig, {"dropout": -0.5}),
        (FusionConfig, {"temperature": 0.0}),
        (FusionConfig, {"timesteps": -1}),
        (ConcurrencyConfig, {"max_workers": 0}),
        (ConcurrencyConfig, {"batch_size_per_worker": 0}),
        (ConcurrencyConfig, {"prefetch_factor": 0}),
        (ConcurrencyConfig, {"batch_timeout": 0.0}),
    ],
)
def test_values_out_of_range(kind, setting):
    (name,) = setting
    with pytest.raises(ArgumentError, match=f"`{name}`"):
        kind(**setting)


def test_heads_divide_the_shared_space():
    with pytest.raises(ArgumentError, match="`shared_dim` to be divisible by num_heads=7"):
        FusionConfig(shared_dim=512, num_heads=7)


def test_bounds_are_allowed():
    spiking = SpikingConfig(timesteps=1, beta=0.0, dropout=1.0)
    assert (spiking.timesteps, spiking.beta, spiking.dropout) == (1, 0.0, 1.0)
    fusion = FusionConfig(shared_dim=8, num_heads=8, dropout=0.0)
    assert (fusion.shared_dim, fusion.num_heads, fusion.dropout) == (8, 8, 0.0)


def test_are_plain_dataclasses():
    assert SpikingConfig(tau_mem=5.0) == SpikingConfig(tau_mem=5.0)
    assert SpikingConfig(tau_mem=5.0) != SpikingConfig()
