from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spikeformer.conversion import SpikeformerConverter
from tests.conversion.networks import relative


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(8, 12), nn.Linear(8, 12), nn.Linear(12, 8)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


def test_static_operands_have_no_neurons():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.mix = nn.Parameter(torch.randn(5, 8)), nn.Parameter(torch.randn(8, 8))
            self.inner = nn.Linear(8, 8)

        def forward(self, x):
            return self.inner(x) @ (self.table @ self.mix).T

    snn = SpikeformerConverter(timesteps=8).convert(Net().eval(), torch.randn(3, 8))
    operands = {op.name: op.sites for op in snn.plan.operations.values()}
    assert operands[":matmul"] == {"left": None, "right": None}
    assert operands[":matmul1"] == {"left": ":matmul1.left", "right": None}
    assert operands["inner"] == {"input": None}


def test_queries_keys_and_values_are_encoded_once():
    snn = SpikeformerConverter(timesteps=2).convert(Gated().eval(), torch.randn(4, 8))
    assert [site.name for site in snn.plan.sites.values() if site.same_as is None] == ["down"]
    deeper = nn.Sequential(nn.Linear(8, 8), Gated()).eval()
    snn = SpikeformerConverter(timesteps=2).convert(deeper, torch.randn(4, 8))
    assert snn.plan.sites["1.up"].same_as == "1.gate"


@pytest.mark.parametrize("raw_first", [True, False])
def test_a_shared_layer_keeps_the_neurons_that_one_of_its_calls_needs(raw_first):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.shared = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x):
            calls = [lambda: self.shared(x), lambda: self.shared(self.first(x).relu())]
            outputs = [call() for call in (calls if raw_first else calls[::-1])]
            return outputs[0] + outputs[1]

    snn = SpikeformerConverter(timesteps=2).convert(Net().eval(), torch.randn(4, 8))
    assert snn.plan.operations["shared"].sites == {"input": "shared"}
    assert list(snn.thresholds.by_site()) == ["shared"]


class Attention(nn.Module):
    def __init__(self, change):
        super().__init__()
        self.query, self.change = nn.Linear(8, 8), change

    def forward(self, x):
        query = self.query(x)
        probabilities = (query @ query.mT).softmax(dim=-1)
        return self.change(probabilities) @ query


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.type(p.dtype),
        lambda p: p.masked_fill(torch.eye(p.shape[-1], dtype=torch.bool), 0.0),
        lambda p: torch.where(torch.eye(p.shape[-1], dtype=torch.bool), 0.0, p),
        lambda p: p.view(-1, *p.shape[1:]),
        lambda p: p * torch.full((), 0.5),
    ],
    ids=["type", "masked_fill", "where", "view", "mul"],
)
def test_attention_takes_other_numbers_of_tokens_than_at_calibration(change):
    snn = SpikeformerConverter(timesteps=16).convert(
        Attention(change).eval(), torch.randn(2, 12, 8)
    )
    for tokens in (3, 20):
        x = torch.randn(2, tokens, 8)
        with torch.no_grad():
            assert relative(snn(x), snn.original(x)) < 0.05
