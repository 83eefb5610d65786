"""Mismatches are found where they are."""

from __future__ import annotations

import numpy as np
import torch

from spikeformer.encoding import DeltaCoding
from spikeformer.hardware import compare, record_reference, reference_spikes, simulate
from spikeformer.hardware.lowering import lower
from spikeformer.hardware.verify import accuracy, agreement
from spikeformer.models.mechanisms import SpikeDrivenAttention
from tests.hardware.networks import images, spikes_for, two_layers, vit


def test_equal_runs_have_no_mismatch():
    graph = two_layers()
    spikes = simulate(graph, spikes_for(graph, 3))
    found = compare(graph, spikes, spikes)
    assert (found.mismatches, found.samples, found.compared) == (0, 3, 3 * 3 * 8)
    assert [layer.first for layer in found.layers] == [None, None]


def test_mismatches_are_counted_and_the_first_is_named():
    graph = two_layers()
    spikes = simulate(graph, spikes_for(graph, 3))
    changed = {name: array.copy() for name, array in spikes.items()}
    for place in [(1, 2, 0), (2, 0, 1)]:
        changed["two"][place] ^= 1
    found = compare(graph, spikes, changed)
    assert found.mismatches == 2
    assert found.layers[1].first == (1, 2, 0)
    assert found.layers[1].expected == spikes["two"].sum()
    assert found.layers[1].mismatches == 2


def test_spikes_of_a_coincidence_follow_from_pytorchs():
    net = vit(mechanism=SpikeDrivenAttention, dim=8, heads=2, threshold=0.4)
    reference = record_reference(net, images(4))
    spikes = reference_spikes(lower(net, (1, 6, 6)).graph, reference)
    path = "backbone.blocks.blocks.0.attention"
    query, key, value = spikes[f"{path}.qkv_neuron"].reshape(4, 3, 9, 3, 8).transpose(3, 0, 1, 2, 4)
    gate = spikes[f"{path}.mechanism.neuron"].reshape(4, 3, 1, 8)
    product = spikes[f"{path}.mechanism.coincidence"].reshape(4, 3, 9, 8)
    np.testing.assert_array_equal(product, key * value)
    out = spikes[f"{path}.mechanism.coincidence_2"].reshape(4, 3, 9, 8)
    np.testing.assert_array_equal(out, query * gate)
    assert 0 < out.mean() < 1


def test_reference_splits_signed_spikes():
    net = vit(encoding=DeltaCoding(3, 0.3))
    samples = images(4)
    inputs = record_reference(net, samples).inputs
    signed = net.backbone.encoding(samples.double()).flatten(2).numpy()
    up, down = inputs["input.up"].astype(int), inputs["input.down"].astype(int)
    np.testing.assert_array_equal(up - down, signed)
    assert not (up & down).any()


def test_reference_in_batches_and_single_precision():
    net = vit()
    samples = images(70)
    reference = record_reference(net, samples, dtype=torch.float32)
    np.testing.assert_allclose(
        reference.outputs, net(samples).mean(dim=1).detach().numpy(), atol=1e-6
    )
    assert len(reference.spikes["backbone.blocks.neuron"]) == 70


def test_accuracy_and_agreement():
    one, other = np.eye(3), np.eye(3)[[0, 1, 1]]
    assert accuracy(one, np.array([0, 1, 0])) == 2 / 3
    assert agreement(one, other, np.array([0, 0, 0])) == 2 / 3


def test_padding_of_token_targets_does_not_count():
    outputs, others = np.zeros((1, 4, 3)), np.zeros((1, 4, 3))
    outputs[0, [0, 1, 2, 3], [0, 1, 2, 0]] = 1
    others[0, [0, 1, 2, 3], [0, 1, 1, 2]] = 1
    targets = np.array([[0, 2, 2, -100]])
    assert accuracy(outputs, targets) == 2 / 3
    assert agreement(outputs, others, targets) == 2 / 3
