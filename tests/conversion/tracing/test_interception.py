"""Module trees other than those of `transformers`."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers.pytorch_utils import Conv1D

from spikeformer.conversion import SpikeformerConverter
from spikeformer.error_handling import ConversionError
from spikeformer.instrument import unfused
from tests.conversion.networks import relative


class Attention(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.options = options
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x, mask=None):
        q, k, v = self.qkv(x).unflatten(-1, (3, 4, 4)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, **self.options)
        return self.out(mixed.transpose(1, 2).flatten(2)) + x


class Grouped(nn.Module):
    def forward(self, q, kv):
        return F.scaled_dot_product_attention(q * 2, kv * 3, kv - 1, enable_gqa=True)


class ByEinsum(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(8, 8)

    def forward(self, x):
        y = self.proj(x)
        scores = torch.einsum("bnd,bmd->bnm", y, y).softmax(-1)
        return torch.einsum("bnm,bmd->bnd", scores, y)


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 8, 3, groups=4, bias=False),
            nn.SiLU(),
            nn.ConvTranspose2d(8, 4, 2, stride=2),
            nn.AdaptiveAvgPool2d(2),
        )
        self.signal = nn.Conv1d(4, 6, 3)
        self.head = Conv1D(5, 12)

    def forward(self, x):
        features = torch.tanh(self.signal(self.body(x).flatten(2)))
        return self.head(features.flatten(1))


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x):
        for _ in range(3):
            x = x + F.gelu(self.layer(x))
        return {"out": x, "depth": 3, "nothing": None}


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(8, 12), nn.Linear(8, 12), nn.Linear(12, 8)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


def encoder(**options):
    layer = nn.TransformerEncoderLayer(16, 4, 24, dropout=0.3, **options)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()


def trained_batch_norm(net):
    net.train()
    with torch.no_grad():
        net(torch.randn(16, 3, 12, 12))
    return net.eval()


TREES = {
    "encoder": (lambda: encoder(batch_first=True), (torch.randn(2, 5, 16),)),
    "encoder, sequence first": (encoder, (torch.randn(5, 2, 16),)),
    "encoder, norm first": (
        lambda: encoder(batch_first=True, norm_first=True, activation="gelu"),
        (torch.randn(2, 5, 16),),
    ),
    "attention": (Attention, (torch.randn(2, 5, 16),)),
    "causal": (lambda: Attention(is_causal=True), (torch.randn(2, 5, 16),)),
    "scaled": (lambda: Attention(scale=0.3), (torch.randn(2, 5, 16),)),
    "bool mask": (Attention, (torch.randn(2, 5, 16), torch.rand(2, 1, 1, 5) < 0.7)),
    "float mask": (Attention, (torch.randn(2, 5, 16), torch.randn(5, 5))),
    "grouped": (Grouped, (torch.randn(2, 4, 5, 8), torch.randn(2, 2, 5, 8))),
    "einsum": (ByEinsum, (torch.randn(2, 5, 8),)),
    "convolutional": (lambda: trained_batch_norm(Convolutional()), (torch.randn(2, 3, 12, 12),)),
    "shared": (Shared, (torch.randn(4, 8),)),
    "gated": (Gated, (torch.randn(4, 8),)),
    "without a batch": (
        lambda: nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3)),
        (torch.randn(8),),
    ),
}


def first(output):
    return output["out"] if isinstance(output, dict) else output


@pytest.mark.parametrize("name", TREES)
def test_module_trees(name):
    make, example = TREES[name]
    network = make().eval()
    if name == "bool mask":
        example[1][..., 0] = True
    snn = SpikeformerConverter(timesteps=16, neuron_model="IF").convert(network, example)
    with torch.no_grad():
        wanted = network(*example)
        for output in snn.without_neurons(*example):
            assert relative(first(output), first(wanted)) < 1e-4
        output = snn(*example)
    assert relative(first(output), first(wanted)) < 0.02
    if name == "shared":
        assert output["depth"] == 3
        assert output["nothing"] is None


def test_masks_of_multi_head_attention():
    network = encoder(batch_first=True)
    x = torch.randn(3, 6, 16)
    masks = {
        "mask": torch.triu(torch.full((6, 6), float("-inf")), diagonal=1),
        "src_key_padding_mask": torch.zeros(3, 6).masked_fill(torch.arange(6) > 3, float("-inf")),
    }
    snn = SpikeformerConverter(timesteps=8).convert(network, {"src": x, **masks})
    with torch.no_grad():
        wanted = network(x, **masks)
        assert relative(snn.without_neurons(src=x, **masks)[0], wanted) < 1e-4
        assert relative(snn(src=x, **masks), wanted) < 0.05


def test_multi_head_attention_hands_out_its_weights():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(8, 8)
            self.attention = nn.MultiheadAttention(8, 2, kdim=6, vdim=6, batch_first=True)

        def forward(self, x, y):
            return self.attention(self.inner(x), y, y, average_attn_weights=False)

    network, example = Net().eval(), (torch.randn(2, 5, 8), torch.randn(2, 4, 6))
    snn = SpikeformerConverter(timesteps=16, neuron_model="IF").convert(network, example)
    with torch.no_grad():
        for ours, theirs in zip(snn(*example), network(*example), strict=True):
            assert ours.shape == theirs.shape
            assert relative(ours, theirs) < 0.03


def test_the_network_itself_is_left_alone():
    network = Attention().eval()
    before = copy.deepcopy(network.state_dict())
    snn = SpikeformerConverter(timesteps=2).convert(network, torch.randn(2, 5, 16))
    snn(torch.randn(2, 5, 16))
    assert not network._forward_hooks
    assert not network.qkv._forward_hooks
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert torch.backends.mha.get_fastpath_enabled()


def test_static_keys_are_refused():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, add_bias_kv=True)

        def forward(self, x):
            return self.attention(x, x, x)[0]

    with pytest.raises(ConversionError, match=r"`attention` \(MultiheadAttention\).*add_bias_kv"):
        SpikeformerConverter().convert(Net(), torch.randn(3, 2, 8))


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_encoders_with_padding_and_with_samples_that_are_all_padding(norm_first, nested):
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=norm_first)
    network = nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested).eval()
    x, padding = torch.randn(3, 5, 16), torch.zeros(3, 5, dtype=torch.bool)
    padding[1, 3:] = True
    padding[2] = True
    inputs = {"src": x, "src_key_padding_mask": padding}
    snn = SpikeformerConverter(16).convert(network, inputs)
    with torch.no_grad(), unfused:
        ours, theirs = snn(**inputs), network(**inputs)
    assert ours.isfinite().all()
    assert relative(ours[~padding], theirs[~padding]) < 0.01


def test_a_query_that_may_attend_to_nothing_gets_nothing():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.query = nn.Linear(8, 8)

        def forward(self, x, mask):
            query = self.query(x)
            return nn.functional.scaled_dot_product_attention(query, query, query, attn_mask=mask)

    x, mask = torch.randn(2, 4, 8), torch.ones(2, 4, 4, dtype=torch.bool).tril()
    mask[0, 1] = False
    snn = SpikeformerConverter(16).convert(Net().eval(), {"x": x, "mask": mask})
    assert not snn(x, mask)[0, 1].any()
    assert relative(snn(x, mask), snn.original(x, mask)) < 0.01


@pytest.mark.parametrize(
    "product",
    [
        lambda a, b: torch.matmul(input=a, other=b),
        lambda a, b: torch.bmm(a, mat2=b),
        lambda a, b: a.new_zeros(()).baddbmm(batch1=a, batch2=b),
        lambda a, b: torch.baddbmm(a.new_zeros(()), a, batch2=b),
    ],
)
def test_products_with_named_operands(product):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(4, 4)

        def forward(self, x):
            y = self.body(x)
            return product(y, y)

    x = torch.randn(3, 4, 4)
    snn = SpikeformerConverter(16).convert(Net().eval(), x)
    assert relative(snn(x), snn.original(x)) < 0.01
    assert len(snn.plan.operations) == 2
