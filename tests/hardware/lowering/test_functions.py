from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from spikeformer.conversion import SpikeformerConverter
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import (
    HardwareModel,
    Loihi2Deployer,
    compare,
    lower,
    quantise,
    record_reference,
    reference_spikes,
    simulate,
)
from spikeformer.hardware.ir.hosted import HostedGraph
from tests.hardware.networks import converted
from tests.hardware.toolchains import needs_toolchain


def lowered(kind):
    snn, inputs = converted(kind, functions="spiking")
    shapes = {name: tuple(x.shape[1:]) for name, x in inputs.items()}
    return snn, record_reference(snn, inputs), lower(snn, shapes).graph, shapes


@pytest.mark.parametrize("kind", ["vit_classifier", "bert_classifier", "distilbert"])
def test_a_network_with_its_functions_on_the_chip_is_pytorch_event_for_event(kind):
    """The host reads the output and computes BERT's tanh; softmax, norms, GELU are the chip's."""
    _, reference, graph, _ = lowered(kind)
    events = simulate(graph, reference.inputs)
    comparison = compare(graph, reference_spikes(graph, reference), events)
    assert comparison.mismatches == 0
    assert sum(layer.expected for layer in comparison.layers) > comparison.compared / 10
    outputs = graph.outputs({**reference.inputs, **events})
    np.testing.assert_allclose(outputs, reference.outputs, atol=1e-12)
    every = {f.function for f in graph.functions if f.depth >= 0}
    assert every <= ({"rate", "tanh"} if kind == "bert_classifier" else {"rate"})
    kinds = Counter(p.function for p in graph.differential if p.rule == "change")
    assert kinds["gelu"] == 2
    assert kinds["exp"] == kinds["reciprocal"] == 2
    assert kinds["rsqrt"] == 4  # one more stands before the first event, at the host


class Mixed(nn.Module):
    """Sums, quotients, means and moves of activations between layers, and a product with itself."""

    def __init__(self):
        super().__init__()
        self.embed, self.mix, self.out = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.register_buffer("scale", torch.tensor([1.0, -2.0]))

    def forward(self, x):
        x = self.mix(torch.relu(self.embed(x)))
        pairs = x.unflatten(-1, (2, 4)).transpose(-1, -2)
        y = (pairs * self.scale / 3 - pairs.mean(dim=1, keepdim=True)).flatten(-2)
        y = 1.5 - (y + -x * x)
        return self.out(y[:, 1:]).sum(dim=1)


def test_linear_functions_become_synapses_and_products_neurons():
    torch.manual_seed(0)
    x = torch.randn(2, 5, 6)
    snn = SpikeformerConverter(3, functions="spiking").convert(Mixed().eval(), x)
    graph = lower(snn, (5, 6)).graph
    reference = record_reference(snn, x)
    events = simulate(graph, reference.inputs)
    assert compare(graph, reference_spikes(graph, reference), events).mismatches == 0
    outputs = graph.outputs({**reference.inputs, **events})
    np.testing.assert_allclose(outputs, reference.outputs, atol=1e-12)
    functions = [p.function for p in graph.differential if p.rule == "change"]
    assert functions == ["product", "copy"]  # the last is what the host reads


def test_graphs_with_functions_are_saved_and_have_no_integers(tmp_path):
    snn, reference, graph, shapes = lowered("vit_classifier")
    compiled = Loihi2Deployer().compile(snn, input_shape=shapes)
    assert compiled.integers is None
    compiled.save(tmp_path)
    loaded = HardwareModel.load(tmp_path).graph
    assert isinstance(loaded, HostedGraph)
    events = simulate(loaded, reference.inputs)
    for name, wanted in simulate(graph, reference.inputs).items():
        np.testing.assert_array_equal(events[name], wanted)
    with pytest.raises(HardwareCompatibilityError, match='functions="exact"'):
        quantise(graph)


@pytest.mark.slow
@needs_toolchain("loihi2")
def test_lava_computes_the_functions_that_numpy_computes():
    snn, reference, graph, shapes = lowered("vit_classifier")
    with Loihi2Deployer().deploy(Loihi2Deployer().compile(snn, input_shape=shapes)) as chip:
        events = chip.execute(reference.inputs)
    assert chip.arithmetic == "reals_lava"
    everything = compare(graph, simulate(graph, reference.inputs), events)
    assert everything.mismatches == 0
    assert everything.compared == 2 * 3 * graph.num_neurons
    assert compare(graph, reference_spikes(graph, reference), events).mismatches == 0
