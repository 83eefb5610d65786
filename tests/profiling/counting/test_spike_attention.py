from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from spikeformer import SpikingViT
from spikeformer.metrics import fan_out
from spikeformer.models import SpikingAttention, SpikingSelfAttention, SpikingTransformer
from spikeformer.models.mechanisms import (
    PooledSpikeDrivenAttention,
    QKTokenAttention,
    SpikeDrivenAttention,
)
from spikeformer.neurons import IntegerLifNeuron, LifNeuron, SpikingNeuron
from spikeformer.ops import spike_attention
from spikeformer.profiling import LayerCounts, OperationCounter
from tests.profiling.brute_force import attention_additions, spikes_like

MECHANISMS = {
    "qk_token": QKTokenAttention,
    "sdsa": SpikeDrivenAttention,
    "ssa": SpikingSelfAttention,
}
CASES = [(name, causal, shape) for name in MECHANISMS for causal in (False, True) for shape in
         ((2, 3, 5, 2, 3), (2, 3, 2, 2, 5))]  # fmt: skip


class Attend(nn.Module):
    """Attention alone."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, query, key, value):
        return self.function(query, key, value)


def by_kind(model, *inputs) -> dict[str, LayerCounts]:
    with torch.no_grad(), OperationCounter() as counter:
        model(*inputs)
    layers = counter.works[0].counts().layers
    kinds = {layer.kind for layer in layers}
    return {kind: LayerCounts.merged([x for x in layers if x.kind == kind]) for kind in kinds}


def expected_additions(query, key, value, mechanism, causal) -> list[int]:
    batch, steps, _, heads, _ = query.shape
    return [
        sum(
            attention_additions(
                query[b, t, :, h],
                key[b, t, :, h],
                None if value is None else value[b, t, :, h],
                mechanism,
                causal,
            )
            for b in range(batch)
            for h in range(heads)
        )
        for t in range(steps)
    ]


@pytest.mark.parametrize(("name", "causal", "shape"), CASES, ids=str)
def test_additions_against_a_loop(name, causal, shape):
    query, key, value = (spikes_like(*shape) for _ in range(3))
    value = None if name == "qk_token" else value
    neuron = {"decay": 0.5, "threshold": 1.0}
    model = Attend(
        lambda q, k, v: spike_attention(q, k, v, mechanism=name, causal=causal, **neuron)[0]
    )
    counts = by_kind(model, query, key, value)["attention"]
    assert counts.timeline == tuple(expected_additions(query, key, value, name, causal))
    assert counts.acs == counts.synaptic_operations == sum(counts.timeline)
    assert counts.events == sum(x.sum() for x in (query, key, value) if x is not None)


@pytest.mark.parametrize("name", MECHANISMS)
def test_full_products_are_those_of_all_spikes(name):
    ones = [torch.ones(1, 2, 5, 2, 3) for _ in range(3)]
    if name == "qk_token":
        ones[2] = None
    function = partial(spike_attention, mechanism=name, decay=0.5, threshold=1.0)
    counts = by_kind(Attend(lambda q, k, v: function(q, k, v)[0]), *ones)["attention"]
    assert counts.dense == counts.acs


@pytest.mark.parametrize("name", MECHANISMS)
def test_gates_are_the_neurons_that_fire(name):
    """The fused kernel hides its gates; the same layer taken apart shows them."""
    layer = SpikingAttention(8, 2, timesteps=3, mechanism=MECHANISMS[name], threshold=0.5).eval()
    x = spikes_like(2, 3, 5, 8)
    layer.qkv_norm.running_var.fill_(0.05)
    fused = by_kind(layer, x)
    fired = []
    handle = layer.mechanism.neuron.register_forward_hook(lambda *a: fired.append(a[2]))
    apart = by_kind(layer, x)
    handle.remove()
    for key in ("neuron_updates", "spikes"):
        assert getattr(fused["neuron"], key) == getattr(apart["neuron"], key)
    assert fused["neuron"].spikes > fired[0].sum() > 0
    assert fused["attention"].acs == apart["attention"].acs


def test_pooled_attention_adds_up_the_matches_that_are_left():
    query, key, value = (spikes_like(2, 3, 6, 2, 4) for _ in range(3))
    layer = PooledSpikeDrivenAttention(LifNeuron, 1.0).eval()
    layer.grid_size = (2, 3)
    seen = []
    layer.gate.register_forward_hook(lambda m, args, out: seen.append(args[0][1]))
    counts = by_kind(Attend(lambda q, k, v: layer((q, k, v))), query, key, value)["attention"]
    (matches,) = {id(x): x for x in seen}.values()
    assert counts.acs == sum(counts.timeline) == matches.sum() > 0
    assert counts.membranes == 2 * 4
    assert counts.dense == 2 * 3 * 2 * 6 * 4


def test_graded_spikes_in_attention_are_events_with_a_value():
    layer = SpikingAttention(8, 2, timesteps=3, mechanism=SpikeDrivenAttention,
                             neuron=IntegerLifNeuron).eval()  # fmt: skip
    layer.qkv_norm.running_var.fill_(0.05)
    counts = by_kind(layer, spikes_like(2, 3, 5, 8))["attention"]
    assert counts.synaptic_operations > 0


@pytest.mark.parametrize("mechanism", MECHANISMS.values())
@pytest.mark.parametrize("residual", ["membrane", "sew"])
def test_a_network_against_hooks_and_fan_out(mechanism, residual):
    """Every layer with weights, counted a second way: from its input, seen by a hook."""
    model = SpikingViT(
        image_size=8,
        d_model=16,
        nhead=2,
        num_layers=2,
        timesteps=3,
        stem_strides=(1, 2),
        attention=partial(SpikingAttention, mechanism=mechanism),
        residual=residual,
    ).eval()
    for module in model.modules():
        if hasattr(module, "running_var"):
            module.running_var.fill_(0.1)
    images = torch.rand(2, 3, 8, 8)
    with torch.no_grad(), OperationCounter() as counter:
        model(images)
    counts = counter.works[0].counts()
    seen: dict[str, float] = {}
    fired: dict[str, tuple[int, float]] = {}

    def watch(name):
        def hook(layer, args, output):
            if isinstance(layer, SpikingNeuron):
                fired[name] = output.numel(), output.sum().item()
            else:
                seen[name] = (args[0] * fan_out(layer, args[0])).sum().item()

        return hook

    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d | SpikingNeuron):
            module.register_forward_hook(watch(name))
    with torch.no_grad():
        model(images)
    products = {
        x.name: x.synaptic_operations for x in counts.layers if x.kind in ("linear", "conv")
    }
    first, *_ = products
    assert products.pop(first) == 0  # an image is no spikes
    seen.pop(first)
    assert products == pytest.approx(seen, rel=1e-6)
    neurons = {x.name: (x.neuron_updates, x.spikes) for x in counts.layers if x.kind == "neuron"}
    gates = {f"{name}.neuron" for name in neurons if name.endswith("mechanism")}
    assert {f"{n}.neuron" if n.endswith("mechanism") else n: v for n, v in neurons.items()} == {
        name: pytest.approx(value) for name, value in fired.items()
    }
    assert len(gates) == 2
    assert counts.timesteps == 3


def test_a_text_network_counts_its_table_and_every_layer():
    model = SpikingTransformer(vocab_size=20, d_model=16, nhead=2, num_layers=1, timesteps=3).eval()
    with torch.no_grad(), OperationCounter() as counter:
        model(torch.randint(20, (2, 5)))
    counts = counter.works[0].counts()
    assert {layer.kind for layer in counts.layers} >= {"embedding", "linear", "neuron", "attention"}
    assert counter.works[0].uncounted() == {}


def test_spikes_of_a_neuron_are_those_of_its_layer():
    """The counter takes the input of a layer from the neuron before it where it can."""
    model = nn.Sequential(LifNeuron(), nn.Linear(6, 4))
    current = torch.rand(3, 5, 6) * 2
    counts = by_kind(model, current)
    assert counts["linear"].events == counts["neuron"].spikes == model[0](current).sum()
    assert counts["linear"].timeline == tuple(4 * t for t in counts["neuron"].timeline)


@pytest.mark.parametrize("tokens", [2, 6])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("neuron", [LifNeuron, IntegerLifNeuron])
def test_wider_values_cost_as_much_as_more_heads(tokens, causal, neuron):
    """Without the first product, which all of a head's values share."""
    query, key = (spikes_like(2, 3, tokens, 2, 3) for _ in range(2))
    value = spikes_like(2, 3, tokens, 2, 6)
    layer = SpikingSelfAttention(neuron, 1.0, causal=causal).eval()
    wide = by_kind(Attend(lambda q, k, v: layer((q, k, v))), query, key, value)["attention"]
    halves = [
        by_kind(Attend(lambda q, k, v: layer((q, k, v))), query, key, part)["attention"]
        for part in (value[..., :3], value[..., 3:])
    ]
    first = 0.0
    if causal or not _keys_first(tokens, 3, 6):
        own = (query.unsqueeze(3) * key.unsqueeze(2)).sum(-1)  # (b, t, q, k, h)
        if causal:
            own = own * torch.ones(tokens, tokens).tril()[:, :, None]
        first = own.sum().item()
    assert _keys_first(tokens, 3, 6) == _keys_first(tokens, 3, 3)
    assert wide.acs == sum(half.acs for half in halves) - first
    assert wide.membranes == sum(half.membranes for half in halves)


def _keys_first(tokens, channels, wide):
    return channels * wide * 2 * tokens < (channels + wide) * tokens**2
