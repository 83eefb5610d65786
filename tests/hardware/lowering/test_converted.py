from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from spikeformer.conversion import SpikeformerConverter
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import compare, lower, record_reference, reference_spikes, simulate
from spikeformer.hardware.ir.operators import Sparse
from tests.hardware.networks import converted

CODINGS = {
    "vit_classifier": {},
    "deit": {"neuron_model": "IF"},
    "bert_classifier": {"levels": 10, "mantissa": 1},
    "distilbert": {},
}


@pytest.mark.parametrize("kind", CODINGS)
def test_a_converted_transformer_is_its_graph_event_for_event(kind):
    """Images and padded sentences: no event differs from PyTorch's, no output by 1e-12."""
    snn, inputs = converted(kind, **CODINGS[kind])
    graph = lower(snn, {name: tuple(x.shape[1:]) for name, x in inputs.items()}).graph
    reference = record_reference(snn, inputs)
    events = simulate(graph, reference.inputs)
    comparison = compare(graph, reference_spikes(graph, reference), events)
    assert comparison.mismatches == 0
    assert sum(layer.expected for layer in comparison.layers) > comparison.compared / 10
    outputs = graph.outputs({**reference.inputs, **events})
    np.testing.assert_allclose(outputs, reference.outputs, atol=1e-12)
    with torch.no_grad():
        ours = snn(**inputs)
    # In float32 some events differ, and what the network gives hardly does.
    first = ours.logits if "classifier" in kind else ours.last_hidden_state
    assert np.linalg.norm(first.numpy() - outputs) < 0.05 * np.linalg.norm(outputs)


class Fused(nn.Module):
    """Queries, keys and values from one layer, heads first, and a convolution on events."""

    def __init__(self, **settings):
        super().__init__()
        self.embed, self.qkv, self.out = nn.Linear(6, 8), nn.Linear(8, 24), nn.Linear(8, 3)
        self.mix = nn.Conv1d(8, 8, 3, padding=1, **settings)

    def forward(self, x):
        x = torch.relu(self.embed(x))
        q, k, v = self.qkv(x).reshape(*x.shape[:2], 3, 2, 4).permute(2, 0, 3, 1, 4)
        attention = (q @ k.transpose(-2, -1) / 2).softmax(dim=-1)
        mixed = (attention @ v).transpose(1, 2).flatten(2)
        mixed = mixed + self.mix(mixed.transpose(1, 2)).transpose(1, 2)
        return self.out(self.out.weight.new_ones(()) * mixed)[:, 0]


def test_fused_projections_and_convolutions_are_lowered():
    torch.manual_seed(0)
    x = torch.randn(2, 5, 6)
    snn = SpikeformerConverter(3).convert(Fused().eval(), x)
    graph = lower(snn, (5, 6)).graph
    reference = record_reference(snn, x)
    events = simulate(graph, reference.inputs)
    assert compare(graph, reference_spikes(graph, reference), events).mismatches == 0
    np.testing.assert_allclose(
        graph.outputs({**reference.inputs, **events}), reference.outputs, atol=1e-12
    )
    straight = [p for p in graph.projections if p.source == "qkv"]
    assert [p.operator.shape for p in straight] == [(40, 40)] * 3
    assert not any(isinstance(p.operator, Sparse) for p in straight)
    assert graph.num_synapses == 5 * 8 * 24 + 5 * 8 * 3


def test_layers_of_torch_that_put_tokens_first_are_lowered():
    """`nn.MultiheadAttention` turns its input round: samples lie along the second axis."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 12, activation="gelu", batch_first=True)
    x = torch.randn(3, 5, 8)
    snn = SpikeformerConverter(3).convert(layer.eval(), x)
    graph = lower(snn, (5, 8)).graph
    reference = record_reference(snn, x)
    events = simulate(graph, reference.inputs)
    assert compare(graph, reference_spikes(graph, reference), events).mismatches == 0
    outputs = graph.outputs({**reference.inputs, **events})
    np.testing.assert_allclose(outputs, reference.outputs, atol=1e-12)


class Captioned(nn.Module):
    """Tokens and pixels together."""

    def __init__(self):
        super().__init__()
        self.words, self.pixels, self.out = nn.Embedding(7, 6), nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, input_ids, pixel_values):
        return self.out(torch.relu(self.words(input_ids) + self.pixels(pixel_values)))


def test_tokens_and_real_numbers_are_taken_together():
    torch.manual_seed(0)
    inputs = {"input_ids": torch.randint(7, (2, 5)), "pixel_values": torch.randn(2, 5, 4)}
    snn = SpikeformerConverter(3).convert(Captioned().eval(), inputs)
    graph = lower(snn, {"input_ids": (5,), "pixel_values": (5, 4)}).graph
    reference = record_reference(snn, inputs)
    events = simulate(graph, reference.inputs)
    outputs = graph.outputs({**reference.inputs, **events})
    np.testing.assert_allclose(outputs, reference.outputs, atol=1e-12)


def test_what_has_no_place_is_refused_by_name():
    torch.manual_seed(0)
    x = torch.randn(2, 5, 6)
    grouped = SpikeformerConverter(3).convert(Fused(groups=2).eval(), x)
    with pytest.raises(HardwareCompatibilityError, match=r"'mix'.*plain convolution"):
        lower(grouped, (5, 6))
    radix = SpikeformerConverter(3, spike_encoding="radix").convert(Fused().eval(), x)
    with pytest.raises(HardwareCompatibilityError, match="conversion=differential"):
        lower(radix, (5, 6))
