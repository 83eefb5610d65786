"""Cross-modal attention by its equation."""

from __future__ import annotations

import copy

import pytest
import torch

from tests.fusion.networks import DIMS, TOKENS, T, fusion, in_double, lif, projected, spikes


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


def test_statistics_are_those_of_the_samples_that_count():
    """Where half of the samples lack the audio, norms that meet it see what the others give."""
    inputs = spikes(8, ["vision", "audio"])
    here = torch.tensor([True, False] * 4)
    model = fusion("cross_attention", inputs, names=list(inputs), temperature=0.5).train()
    # These count all of vision's samples; they are not to pass that on.
    for norm in (*model.norms.values(), model.attentions["vision"].key_norm):
        norm.eval()
    model.attentions["audio"].query_norm.eval()
    alone = copy.deepcopy(model)
    model(inputs, {"audio": here})
    alone({name: x[here] for name, x in inputs.items()})
    for name, norm in (
        ("vision", "query_norm"),
        ("vision", "out_norm"),
        ("audio", "key_norm"),
        ("audio", "out_norm"),
    ):
        found, expected = (getattr(m.attentions[name], norm) for m in (model, alone))
        torch.testing.assert_close(found.running_mean, expected.running_mean, msg=f"{name} {norm}")
        torch.testing.assert_close(found.running_var, expected.running_var, msg=f"{name} {norm}")


@torch.no_grad()
def test_a_sample_that_nobody_asks_about_stays_as_it_is():
    inputs = spikes(8, ["vision", "audio"])
    here = torch.tensor([True, False] * 4)
    model = fusion("cross_attention", inputs, names=list(inputs), temperature=0.5)
    vision = model(inputs, {"audio": here})[:, :, : TOKENS["vision"]]
    before = projected(model, inputs)["vision"]
    assert torch.equal(vision[~here], before[~here])
    assert not torch.equal(vision[here], before[here])


def test_where_nobody_asks_nothing_is_learnt():
    """No sample has both modalities, as after dropping some: statistics stay, and stay finite."""
    inputs = spikes(4, ["vision", "audio"])
    torch.manual_seed(0)
    model = fusion("cross_attention", inputs, names=list(inputs))
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    first = torch.tensor([True, True, False, False])
    model.train()
    current = model(inputs, {"vision": first, "audio": ~first})
    current.sum().backward()
    for name, buffer in model.named_buffers():
        assert buffer.isfinite().all(), name
        if ".out_norm." in name:
            assert torch.equal(buffer, before[name]), name
    assert current.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
