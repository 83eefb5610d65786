from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.conversion import Activity, SpikeformerConverter
from tests.conversion.event_driven import EventDriven
from tests.conversion.networks import images, vit_classifier


def test_counts_are_those_of_a_brute_force():
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 4, 2), nn.Flatten(), nn.Linear(36, 5)
    ).eval()
    x = torch.randn(3, 1, 6, 6)
    snn = SpikeformerConverter(timesteps=4, neuron_model="IF").convert(network, x)
    reference = EventDriven(snn)
    reference.run(4, x)
    activity = Activity(snn.plan, snn.coding)
    with torch.no_grad(), snn.recording(activity):
        snn(x)
    activity.samples = 3
    counts = {layer.name: layer for layer in activity.counts().layers}
    original = {layer.name: layer for layer in activity.original_counts().layers}
    assert original["0"].macs == counts["0"].macs == 3 * 2 * 16 * 9
    assert original["2"].macs == 3 * 4 * 9 * 8
    assert original["4"].macs == 3 * 36 * 5
    fired = dict.fromkeys(("2", "4"), 0)
    for site, spikes, _ in reference.events:
        fired[site] += int(spikes.count_nonzero())
    assert counts["4"].events == fired["4"]
    assert counts["4"].synaptic_operations == fired["4"] * 5
    assert counts["2"].events == fired["2"]
    assert counts["2"].dense == 4 * original["2"].macs
    neurons = counts["4 neurons"]
    assert neurons.neuron_updates == 3 * 36 * 4
    assert neurons.spikes == fired["4"]
    assert sum(neurons.timeline) == fired["4"]
    assert activity.events() == sum(fired.values())
    assert activity.events_per_neuron() == pytest.approx(sum(fired.values()) / (3 * (32 + 36)))
    assert activity.sparsity == pytest.approx(1 - activity.events_per_neuron() / 4)


def test_attention_counts_both_operands():
    snn = SpikeformerConverter(timesteps=2).convert(vit_classifier())
    activity = Activity(snn.plan, snn.coding)
    with torch.no_grad(), snn.recording(activity):
        snn(**images(2))
    activity.samples = 2
    layers = {layer.name: layer for layer in activity.original_counts().layers}
    scores = layers["vit.layers.0.attention:matmul"]
    assert scores.macs == 2 * 4 * 5 * 5 * 8
    assert scores.kind == "attention"
    spiking = {layer.name: layer for layer in activity.counts().layers}
    events = activity.rates()
    sent = sum(
        events[f"vit.layers.0.attention:matmul.{side}"] * 2 * 4 * 5 * 8 * 2
        for side in ("left", "right")
    )
    assert spiking["vit.layers.0.attention:matmul"].events == pytest.approx(sent)
    assert spiking["vit.layers.0.attention:matmul"].synaptic_operations == pytest.approx(5 * sent)
    assert activity.evaluations > 0
