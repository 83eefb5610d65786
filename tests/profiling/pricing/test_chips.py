"""Chips price synaptic operations, neurons and messages."""

from __future__ import annotations

import pytest

from spikeformer.error_handling import ArgumentError
from spikeformer.profiling import (
    TECHNOLOGIES,
    LayerCounts,
    Occupancy,
    Range,
    estimate,
    neuron_layer,
)
from tests.profiling.pricing.test_estimate import SPIKING, one


def test_loihi_by_hand():
    counts = one(
        LayerCounts(
            name="a", kind="linear", synaptic_operations=1000, neuron_updates=100, spikes=10
        )
    )
    value = estimate(counts, "loihi1").energy_uj
    assert value.value == pytest.approx((23.6e3 + 81e2 + 52) / 1e6)
    assert value.low == pytest.approx((23.6e3 + 52e2 + 17) / 1e6)
    # Nobody published figures of Loihi 2: Loihi 1 bounds it from above, nothing from below.
    assert estimate(counts, "loihi2").energy_uj == Range(0.0, value.value, value.high)
    assert "upper bound" in estimate(counts, "loihi2").source


def test_counted_packets_replace_spikes():
    layer = neuron_layer("lif", updates=1, spikes=10, neurons=1, packets=25)
    assert TECHNOLOGIES["spinnaker"].price(layer, 1)["routing"].value == 25_000


def test_what_a_chip_cannot_run_is_said_and_not_priced():
    result = estimate(SPIKING, "loihi1")
    assert result.uncovered == {"stem": 500}
    assert result.layers["stem"] == Range.exactly(0)
    assert estimate(SPIKING, "simulation").uncovered == {}


def test_idle_power_is_added_where_it_is_known():
    placement = Occupancy(seconds=0.01, cores=20, chips=2, boards=1)
    counts = one(neuron_layer("lif", updates=0, spikes=0, neurons=1))
    result = estimate(counts, "spinnaker", placement=placement)
    assert result.breakdown["idle"].value == pytest.approx((26.84 + 0.7 + 0.68) * 0.01 * 1e6)
    with pytest.raises(ArgumentError, match="given for spinnaker"):
        estimate(counts, "loihi1", placement=placement)
    with pytest.raises(ArgumentError, match="anything but a chip"):
        estimate(counts, "simulation", placement=placement)
    with pytest.raises(ArgumentError, match="seconds"):
        Occupancy(seconds=-1, cores=1, chips=1, boards=1)
