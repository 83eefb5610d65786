from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from spikeformer.conversion import SpikeformerConverter
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import compare, lower, record_reference, reference_spikes, simulate
from spikeformer.hardware.ir.operators import TokenLinear
from spikeformer.hardware.ir.runtime import ENCODE
from tests.hardware.networks import converted


def test_a_block_has_the_populations_and_functions_that_it_should():
    snn, _ = converted()
    graph = lower(snn, {"pixel_values": (3, 16, 16)}).graph
    block = "vit.layers.0"
    rules = {p.name: (p.rule, p.source is None) for p in graph.differential}
    queries, keys, values = (f"{block}.attention:matmul{x}" for x in (".left", ".right", "1.right"))
    # Queries, keys and values get their synapses straight from the layer before them.
    for name in (queries, keys, values):
        assert rules[name] == ("differential", True)
        (projection,) = graph.incoming(name)
        assert projection.source == f"{block}.attention.q_proj"
        assert isinstance(projection.operator, TokenLinear)
    assert rules[f"{block}.mlp.fc2"] == ("differential", False)
    assert rules[f"{block}.mlp.fc2.output"] == ("sum", True)
    # The host encodes probabilities by itself: it makes them, and it alone takes them.
    encoded = [f.name for f in graph.functions if f.function == ENCODE]
    assert encoded == [f"vit.layers.{i}.attention:matmul1.left" for i in range(2)]
    named = {f.function for f in graph.functions if f.module == f"{block}.attention"}
    assert {"bmm", "_softmax"} <= named
    assert graph.populations[graph.functions[-1].name].shape == (5,)


def test_a_layer_whose_input_only_moved_gets_its_tokens_in_order():
    class Turned(nn.Sequential):
        def forward(self, x):
            return self[1](self[0](x).transpose(1, 2)).sum(dim=2)

    torch.manual_seed(0)
    x = torch.randn(2, 4, 6)
    snn = SpikeformerConverter(3).convert(Turned(nn.Linear(6, 5), nn.Linear(4, 3)).eval(), x)
    with pytest.raises(HardwareCompatibilityError, match="no spiking neurons"):
        lower(SpikeformerConverter(3).convert(nn.Linear(4, 2).eval(), x[:, 0, :4]), (4,))
    graph = lower(snn, (4, 6)).graph
    reference = record_reference(snn, x)
    events = simulate(graph, reference.inputs)
    assert compare(graph, reference_spikes(graph, reference), events).mismatches == 0
    outputs = graph.outputs({**reference.inputs, **events})
    np.testing.assert_allclose(outputs, reference.outputs, atol=1e-12)
