from __future__ import annotations

import math

import pytest

from spikeformer.error_handling import ArgumentError
from spikeformer.profiling import (
    LayerCounts,
    OperationCounts,
    dense_layer,
    event_layer,
    neuron_layer,
)


def test_a_dense_layer_reads_a_weight_for_each_product_and_an_input_once():
    layer = dense_layer("fc", "linear", macs=24, effective_macs=10, inputs=8, outputs=6, weights=12)
    assert (layer.dense, layer.macs, layer.skipped_macs, layer.acs) == (24, 10, 14, 0)
    assert (layer.weight_reads, layer.activation_reads, layer.activation_writes) == (24, 8, 6)
    assert (layer.address_adds, layer.address_macs) == (24, 0)


def test_a_convolution_reads_an_input_for_each_product():
    layer = dense_layer(
        "conv", "conv", macs=90, inputs=20, outputs=10, weights=9, samples=2, steps=5
    )
    assert layer.activation_reads == 90
    assert layer.address_adds == 20 + 10 + 2 * 9
    assert layer.activations == 3  # of one sample and timestep


def test_an_event_layer_works_on_membranes():
    layer = event_layer(
        "conv", "conv", events=5, operations=40, dense=100, weights=9, targets=16, steps=2
    )
    assert (layer.acs, layer.macs, layer.synaptic_operations) == (40, 0, 40)
    assert (layer.weight_reads, layer.membrane_reads, layer.membrane_writes) == (40, 40, 40)
    assert (layer.address_adds, layer.address_macs) == (40, 10)
    assert layer.memory_accesses == 3 * 40 + 5


def test_graded_events_multiply():
    layer = event_layer(
        "fc", "linear", events=5, operations=40, dense=100, weights=8, targets=8, graded=True
    )
    assert (layer.acs, layer.macs, layer.synaptic_operations) == (0, 40, 40)


def test_totals_are_for_one_sample():
    counts = OperationCounts(
        (
            dense_layer("stem", "conv", macs=100, inputs=1, outputs=1, weights=1, samples=4),
            event_layer(
                "fc", "linear", events=4, operations=40, dense=400, weights=8, targets=8, steps=3
            ),
            neuron_layer("lif", updates=120, spikes=30, neurons=10, steps=3),
        ),
        samples=4,
    )
    assert counts.per_sample("macs") == 25
    assert counts.per_sample("synaptic_operations") == 10
    assert counts.per_sample("memory_accesses") == sum(x.memory_accesses for x in counts.layers) / 4
    assert counts.timesteps == 3
    assert counts.firing_rate == 0.25
    assert counts.sparsity == 1 - 140 / 500


def test_a_network_without_neurons_has_no_firing_rate():
    counts = OperationCounts((dense_layer("fc", "linear", macs=4, inputs=2, outputs=2, weights=4),))
    assert counts.firing_rate is None
    assert counts.timesteps == 1


def test_nothing_counted_is_nothing():
    counts = OperationCounts(())
    assert (counts.per_sample("macs"), counts.sparsity, counts.timesteps) == (0, 0.0, 1)


@pytest.mark.parametrize("bad", [-1, math.nan, math.inf])
def test_impossible_counts_are_refused(bad):
    with pytest.raises(ArgumentError, match="`macs` to be a finite number of at least 0"):
        LayerCounts(name="x", kind="linear", macs=bad)
    with pytest.raises(ArgumentError, match="samples"):
        OperationCounts((), samples=0)


def test_merged_packets_are_spikes_where_nobody_counted_packets():
    def layer(spikes, packets):
        return neuron_layer("lif", updates=20, spikes=spikes, neurons=10, packets=packets)

    assert LayerCounts.merged([layer(3, None), layer(4, None)]).packets is None
    assert LayerCounts.merged([layer(3, 10), layer(4, None)]).packets == 10 + 4
    assert LayerCounts.merged([layer(3, None), layer(4, 11)]).packets == 3 + 11
    assert LayerCounts.merged([layer(3, 0), layer(4, 11)]).packets == 11
    assert LayerCounts.merged([layer(3, 10), layer(4, None)]).spikes == 7
