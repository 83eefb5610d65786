from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.instrument import ActivityProbe, watch_spikes
from spikeformer.neurons import LifNeuron
from tests.training.toys import num_hooks, toy_net


def test_collects_the_activity_of_every_layer_by_name():
    model = nn.Sequential(LifNeuron(), nn.Linear(3, 2), LifNeuron(threshold=1e6))
    x = torch.zeros(2, 4, 3)
    x[:, :, 0], x[0, 0, 1] = 5.0, 1.0  # one saturated neuron, one that fires in 1 of 8 steps
    with ActivityProbe(model) as probe:
        model(x[:1])
        model(x[1:])
    assert set(probe.layers) == {"0", "2"}
    summary = probe.summary()
    assert summary["firing_rates"] == {"0": pytest.approx(9 / 24), "2": 0.0}
    assert summary["silent"] == {"0": pytest.approx(1 / 3), "2": 1.0}
    assert summary["saturated"] == {"0": pytest.approx(1 / 3), "2": 0.0}
    # Over all neurons: the second layer has 2, the first 3.
    assert probe.firing_rate == pytest.approx(9 / (24 + 16))


def test_leaves_no_hooks_behind_after_an_error():
    model = toy_net()

    def fail():
        with ActivityProbe(model):
            assert num_hooks(model) == 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert num_hooks(model) == 0


def test_calls_with_a_state_are_seen_too():
    neuron, current = LifNeuron(), torch.full((1, 2, 3), 5.0)
    with ActivityProbe(neuron) as probe:
        neuron(current, neuron.initial_state(current))
    assert probe.layers[""].firing_rate.compute() == 1.0


def test_a_compiled_model_is_watched_though_its_graph_is_made():
    model, x = toy_net(threshold=0.1), torch.rand(2, 4)
    model.compile(backend="eager")
    expected = model(x)
    with ActivityProbe(model) as probe:
        torch.testing.assert_close(model(x), expected)
    assert probe.firing_rate > 0
    assert torch.equal(model(x), expected)


def test_watching_sees_the_spikes_themselves():
    model, seen = toy_net(threshold=0.1), []
    with watch_spikes(model, lambda name, spikes: seen.append((name, spikes))):
        model(torch.rand(2, 4))
    model(torch.rand(2, 4))
    ((name, spikes),) = seen
    assert name == "neuron"
    assert spikes.shape == (2, 4, 16)
    assert spikes.requires_grad


def test_sentences_of_other_lengths_are_one_layer():
    neuron, gate = LifNeuron(), LifNeuron()
    model = nn.ModuleList([neuron, gate])
    with ActivityProbe(model) as probe:
        for tokens in (3, 5, 2):
            current = torch.zeros(2, 4, tokens, 6)
            current[..., 0] = 5.0  # one channel of six fires at every token
            neuron(current)
            gate(current.unflatten(-1, (2, 3)))  # heads, as in attention
    assert probe.summary()["silent"] == {name: pytest.approx(5 / 6) for name in ("0", "1")}
    assert probe.summary()["saturated"] == {name: pytest.approx(1 / 6) for name in ("0", "1")}
    assert probe.firing_rate == pytest.approx(1 / 6)


def test_nothing_seen_is_a_rate_of_zero():
    assert ActivityProbe(toy_net()).firing_rate == 0.0
