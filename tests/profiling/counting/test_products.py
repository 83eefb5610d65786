from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.profiling.brute_force import conv_products, matmul_products, spikes_like
from tests.profiling.networks import Call, counted

CONVOLUTIONS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": (3, 2), "stride": (1, 2), "padding": (2, 0)},
    {"kernel_size": 3, "dilation": 2, "padding": 2},
    {"kernel_size": 3, "padding": 1, "groups": 2},
]


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("spiking", [True, False])
def test_convolutions_against_a_loop(options, spiking):
    layer = nn.Conv2d(4, 6, **options)
    x = spikes_like(2, 4, 5, 6)
    x = x if spiking else x * torch.randn_like(x)
    effective, dense = conv_products(x, layer)
    counts = counted(nn.Sequential(layer), x)["0:conv"]
    assert counts.dense == dense
    if spiking:
        assert (counts.acs, counts.macs, counts.events) == (sum(effective), 0, x.sum())
    else:
        assert (counts.macs, counts.acs) == (sum(effective), 0)
        assert counts.skipped_macs == dense - sum(effective)
        assert counts.weight_reads == counts.activation_reads == dense


@pytest.mark.parametrize("bias", [True, False])
def test_dense_layers_against_a_loop(bias):
    layer = nn.Linear(5, 7, bias=bias)
    spikes, values = spikes_like(3, 5), torch.randn(3, 5) * spikes_like(3, 5)
    effective, dense = matmul_products(spikes, torch.ones(5, 7))
    counts = counted(nn.Sequential(layer), spikes)["0:linear"]
    assert (counts.acs, counts.macs, counts.dense) == (effective, 0, dense)
    effective, _ = matmul_products(values, torch.ones(5, 7))
    counts = counted(nn.Sequential(layer), values)["0:linear"]
    assert (counts.acs, counts.macs, counts.dense) == (0, effective, dense)
    assert (counts.activation_reads, counts.activation_writes) == (15, 21)


def test_products_of_functions_against_a_loop():
    spikes, more, values = spikes_like(4, 5), spikes_like(5, 6), torch.randn(5, 6)
    model = Call(lambda a, b: a @ b)
    both = counted(model, spikes, more)["Call:matmul"]
    assert (both.acs, both.dense) == matmul_products(spikes, more)
    one = counted(model, spikes, values)["Call:matmul"]
    assert (one.acs, one.dense) == matmul_products(spikes, values)
    assert counted(model, more.t(), spikes.t())["Call:matmul"].acs == both.acs
    other = counted(model, values.t(), spikes.t())["Call:matmul"]
    assert other.acs == one.acs
    none = counted(model, torch.randn(4, 5), values)["Call:matmul"]
    assert (none.macs, none.acs) == (120, 0)


@pytest.mark.parametrize("causal", [False, True])
def test_softmax_attention_is_two_products(causal):
    query, key, value = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 5, 4), torch.randn(2, 3, 5, 6)
    model = Call(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal))
    layers = counted(model, query, key, value)
    pairs = 15 if causal else 25
    # What torch fuses it counts as attention, what it composes as products (and masks afterwards).
    macs = sum(layer.macs + layer.skipped_macs for layer in layers.values())
    assert macs in {2 * 3 * pairs * (4 + 6), 2 * 3 * 25 * (4 + 6)}
