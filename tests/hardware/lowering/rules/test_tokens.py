"""Token ids, padding and language-model heads on a spike graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spikeformer.encoding import DirectCoding
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import compare, lower, record_reference, reference_spikes, simulate
from spikeformer.models import CausalLMHead, ClassificationHead, RegressionHead
from spikeformer.models.mechanisms import QKTokenAttention, SpikeDrivenAttention
from spikeformer.neurons import LifNeuron
from tests.hardware.networks import HARD, sentences, text

SHAPE = {"input_ids": (7,), "mask": (7,)}


def assert_equal(net, samples, shape):
    """Lower `net` and compare every spike, at padding too, and the outputs."""
    graph = lower(net, shape).graph
    reference = record_reference(net, samples)
    spikes = simulate(graph, reference.inputs)
    found = compare(graph, reference_spikes(graph, reference), spikes)
    assert found.mismatches == 0
    assert set(reference.spikes) <= {layer.population for layer in found.layers}
    outputs = graph.outputs({**reference.inputs, **spikes})
    np.testing.assert_allclose(outputs, reference.outputs, atol=1e-12)
    return graph, spikes


@settings(max_examples=10)
@given(
    mechanism=st.sampled_from([QKTokenAttention, SpikeDrivenAttention]),
    residual=st.sampled_from(["membrane", "sew"]),
    causal=st.booleans(),
    head=st.sampled_from([ClassificationHead, RegressionHead, CausalLMHead]),
    blocks=st.integers(1, 2),
    timesteps=st.integers(1, 4),
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=5),
    seed=st.integers(0, 2**16),
)
def test_sentences_of_any_length(
    mechanism, residual, causal, head, blocks, timesteps, lengths, seed
):
    torch.manual_seed(seed)
    net = text(
        mechanism=mechanism,
        residual=residual,
        causal=causal,
        head=head,
        blocks=blocks,
        timesteps=timesteps,
    )
    assert_equal(net, sentences(lengths, seed=seed), SHAPE)


def test_padding_is_silent_behind_the_mask_and_does_not_matter():
    torch.manual_seed(1)
    net = text(mechanism=SpikeDrivenAttention)
    samples = sentences([3, 7])
    graph, spikes = assert_equal(net, samples, SHAPE)
    masked = [p for p in graph.neurons if {q.source for q in graph.incoming(p.name)} >= {"mask"}]
    assert masked
    for population in masked:
        fired = spikes[population.name].reshape(2, 3, 7, -1)
        assert fired[0, :, :3].any()
        assert not fired[0, :, 3:].any()
    other = dict(samples, input_ids=samples["input_ids"].clone())
    other["input_ids"][0, 3:] = 5
    again = record_reference(net, other)
    outputs = graph.outputs({**again.inputs, **simulate(graph, again.inputs)})
    np.testing.assert_allclose(outputs, graph.outputs({**again.inputs, **spikes}), atol=1e-12)


def test_token_ids_without_a_mask():
    torch.manual_seed(2)
    net = text()
    graph, _ = assert_equal(net, sentences([7, 7])["input_ids"], (7,))
    assert [source.name for source in graph.sources] == ["backbone.token_embedding"]


def test_a_mean_over_real_tokens_cannot_feed_neurons():
    class Behind(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.neuron = text(), HARD()

        def forward(self, input_ids, mask):
            return self.neuron(self.net(input_ids, mask=mask))

    with pytest.raises(HardwareCompatibilityError, match="mean over real tokens"):
        lower(Behind().eval(), SHAPE)


def test_an_embedding_of_anything_but_the_ids_is_refused():
    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.encode = nn.Embedding(5, 2), DirectCoding(2)
            self.neuron = LifNeuron(reset="zero")

        def forward(self, ids):
            return self.neuron(self.encode(self.table(ids.flip(1))))

    with pytest.raises(HardwareCompatibilityError, match="looks up something else"):
        lower(Turned().eval(), (3,))
