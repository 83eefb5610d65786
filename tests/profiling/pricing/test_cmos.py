"""Digital arithmetic, memory and addressing in 45 nm."""

from __future__ import annotations

import pytest

from spikeformer.error_handling import ArgumentError
from spikeformer.profiling import (
    PRECISIONS,
    Cmos45,
    LayerCounts,
    Range,
    dense_layer,
    event_layer,
    neuron_layer,
    quantized,
)
from spikeformer.profiling.pricing.cmos import access_energy
from tests.profiling.pricing.test_estimate import KIB, SPIKING


def test_arithmetic_is_horowitzs():
    adds = Cmos45().price(LayerCounts(name="a", kind="linear", acs=1000), 1)
    macs = Cmos45().price(LayerCounts(name="a", kind="linear", macs=1000), 1)
    assert adds["compute"] == Range.exactly(900)
    assert macs["compute"] == Range.exactly(4600)
    int8 = Cmos45(PRECISIONS["int8"])
    assert int8.price(LayerCounts(name="a", kind="linear", macs=1000), 1)["compute"].value == 230


def test_an_8_bit_mac_costs_less_than_an_fp32_accumulate():
    macs = PRECISIONS["int8"].mac.energy_pj
    assert macs.high < PRECISIONS["fp32"].ac.energy_pj.low


def test_fewer_bits_cost_less_and_never_more_than_8():
    values = [quantized(bits).mac.energy_pj for bits in range(1, 9)]
    assert [value.value for value in values] == sorted(value.value for value in values)
    assert {value.high for value in values} == {0.23}
    assert values[-1].value == pytest.approx(0.23)
    with pytest.raises(ArgumentError, match="from 1 to 8"):
        quantized(9)


@pytest.mark.parametrize(
    ("size", "energy"),
    [(1, 10), (8 * KIB, 10), (16 * KIB, 15), (32 * KIB, 20), (1024 * KIB, 100), (1 << 30, 100)],
)
def test_memory_costs_by_its_size(size, energy):
    assert access_energy(size) == pytest.approx(energy)


def test_a_neuron_pays_leak_threshold_and_reset():
    price = Cmos45().price(neuron_layer("lif", updates=10, spikes=3, neurons=10), 1)
    assert price["compute"].value == pytest.approx(10 * 4.6 + 13 * 0.9)


def test_zeros_are_skipped_below_and_batch_norm_paid_for_above():
    layer = LayerCounts(name="a", kind="conv", macs=10, skipped_macs=5, foldable_macs=2)
    compute = Cmos45().price(layer, 1)["compute"]
    assert (compute.low, compute.value, compute.high) == pytest.approx((46, 69, 78.2))


def test_memory_and_addressing_by_hand():
    # 50 events cross 500 synapses into 10 membranes in 4 timesteps; all memories are small.
    layer = SPIKING.layers[1]
    price = Cmos45().price(layer, 1)
    assert price["memory"].value == pytest.approx((3 * 500 + 50) * 10)
    assert price["memory"].high == price["memory"].value
    # Perfect reuse: 200 weights and 10 membranes (in and out) a timestep, words of 64 bits.
    assert price["memory"].low == pytest.approx((500 + 2 * 4 * 10 + 50) * 5)
    assert price["addressing"].value == pytest.approx(50)
    conv = event_layer("c", "conv", events=5, operations=45, dense=90, weights=9, targets=9)
    assert Cmos45().price(conv, 1)["addressing"].value == pytest.approx(4.5 + 10 * 3.2)


def test_smaller_values_take_a_smaller_share_of_a_word():
    layer = dense_layer("fc", "linear", macs=100, inputs=10, outputs=10, weights=100)
    full = Cmos45().price(layer, 1)["memory"].value
    assert Cmos45(PRECISIONS["fp16"]).price(layer, 1)["memory"].value == pytest.approx(full / 2)
    assert Cmos45(PRECISIONS["int8"]).price(layer, 1)["memory"].value == pytest.approx(full / 4)
