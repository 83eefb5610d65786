"""Every fusion against loops over samples, modalities, tokens and heads."""

from __future__ import annotations

import math

import pytest
import torch

from spikeformer.fusion import confidence_weights
from spikeformer.instrument import ActivityProbe
from tests.fusion.networks import DIMS, TOKENS, T, fusion, spikes

DECAY = math.exp(-1 / 2.0)


def lif(current, threshold):
    """Plain LIF over axis 1, soft reset."""
    v, out = torch.zeros_like(current[:, 0]), []
    for x in current.unbind(1):
        v = DECAY * v + x
        fired = (v >= threshold).to(v.dtype)
        v = v - threshold * fired
        out.append(fired)
    return torch.stack(out, 1)


def projected(model, inputs):
    return {name: model.norms[name](model.projections[name](x)) for name, x in inputs.items()}


def in_double(fusion_type, **others):
    inputs = spikes()
    model = fusion(fusion_type, inputs, **others).double()
    return model, {name: x.double() for name, x in inputs.items()}


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
@torch.no_grad()
def test_cross_attention_opens_tokens_that_others_ask_for(temperature):
    model, inputs = in_double("cross_attention", temperature=temperature)
    x, opened = projected(model, inputs), 0
    asked = {}
    keys = {}
    for name in DIMS:
        layer = model.attentions[name]
        both = lif(x[name], 0.5) @ layer.key_query.weight.T
        keys[name] = lif(layer.key_norm(both[..., :8]), 0.5)
        asked[name] = both[..., 8:].mean(2, keepdim=True)
    expected = []
    for name in DIMS:
        layer = model.attentions[name]
        question = sum(asked[other] for other in DIMS if other != name)
        query = lif(layer.query_norm(question), 0.5)
        passed = torch.zeros_like(keys[name])
        for head in (slice(0, 4), slice(4, 8)):
            for n in range(TOKENS[name]):
                matches = (keys[name][:, :, n, head] * query[:, :, 0, head]).sum(-1)
                gate = lif(temperature * matches, 0.5)
                passed[:, :, n, head] = gate[..., None] * keys[name][:, :, n, head]
                opened += gate.sum()
        expected.append(x[name] + layer.out_norm(passed @ layer.out.weight.T))
    result = model(inputs)
    assert result.shape == (4, T, sum(TOKENS.values()), 8)
    assert 0 < opened < 4 * T * sum(TOKENS.values()) * 2
    torch.testing.assert_close(result, torch.cat(expected, 2))


@torch.no_grad()
def test_gates_let_heads_of_a_modality_pass():
    model, inputs = in_double("gated", temperature=1.7)
    x = projected(model, inputs)
    fired = {name: lif(x[name], 0.5) for name in DIMS}
    asked = sum((fired[name] @ model.gates[name].weight.T).mean(2) for name in DIMS)
    gates = lif(1.7 * model.gate_norm(asked[:, :, None])[:, :, 0], 0.5).view(4, T, 3, 2)
    assert 0 < gates.mean() < 1
    expected = []
    for number, name in enumerate(DIMS):
        gate = gates[:, :, number, :, None].expand(-1, -1, -1, 4).flatten(2)
        out = (fired[name] * gate[:, :, None]) @ model.outs[name].weight.T
        expected.append(model.out_norms[name](out))
    torch.testing.assert_close(model(inputs), torch.cat(expected, 2))


@torch.no_grad()
def test_concat_is_the_projections_in_a_row():
    model, inputs = in_double("concat")
    expected = torch.cat(list(projected(model, inputs).values()), 2)
    assert torch.equal(model(inputs), expected)
    other, _ = in_double("concat", temperature=9.0)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(inputs), expected)


@pytest.mark.parametrize(
    ("fusion_type", "gates"), [("cross_attention", "mechanism.neuron"), ("gated", "gate_neuron")]
)
def test_a_higher_temperature_opens_more_gates(fusion_type, gates):
    shares = []
    inputs = spikes(16)
    for temperature in (0.1, 0.5, 1.0, 4.0):
        torch.manual_seed(1)
        model = fusion(fusion_type, inputs, temperature=temperature)
        with ActivityProbe(model) as probe, torch.no_grad():
            model(inputs)
        layers = [a for name, a in probe.layers.items() if name.endswith(gates)]
        assert layers
        shares.append(sum(a.firing_rate.compute().item() for a in layers))
    assert shares == sorted(shares)
    assert shares[0] < shares[1] < shares[3]


@torch.no_grad()
def test_alone_a_modality_passes_unchanged_through_attention():
    inputs = spikes()
    model = fusion("cross_attention", inputs)
    for name in DIMS:
        alone = {name: inputs[name]}
        assert torch.equal(model(alone), projected(model, alone)[name])


@torch.no_grad()
def test_attention_listens_to_the_other_modality():
    inputs = spikes(64)
    model = fusion("cross_attention", inputs, temperature=0.5)
    changed = {**inputs, "audio": 1 - inputs["audio"]}
    before, after = model(inputs), model(changed)
    assert not torch.equal(before[:, :, :5], after[:, :, :5])


def test_weights_of_answers_follow_the_equation():
    outputs = torch.randn(3, 5, 2, 4)
    p = outputs.mean(2).softmax(-1)
    entropy = -(p * p.log()).sum(-1)
    expected = torch.exp(-entropy / 0.7)
    weights = confidence_weights(outputs, 0.7)
    torch.testing.assert_close(weights, expected / expected.sum(0))
    surest = torch.nn.functional.one_hot(entropy.argmin(0), 3).T.float()
    torch.testing.assert_close(confidence_weights(outputs, 1e-4), surest)
    torch.testing.assert_close(confidence_weights(outputs, 1e6), torch.full((3, 5), 1 / 3))
    present = torch.ones(3, 5, dtype=torch.bool)
    present[1, 2] = False
    assert confidence_weights(outputs, 0.7, present)[1, 2] == 0
