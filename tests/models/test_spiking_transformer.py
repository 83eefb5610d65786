from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import nn

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError
from spikeformer.models import SpikingAttention, SpikingSelfAttention, SpikingTransformer
from spikeformer.neurons import LifNeuron
from tests.models.firing import calibrate, recorded
from tests.models.test_mechanisms import MECHANISMS

soft = partial(LifNeuron, tau_mem=2.0, surrogate_type="atan")
mechanisms = pytest.mark.parametrize("mechanism", MECHANISMS)
norms = pytest.mark.parametrize("norm", ["batch", "layer"])


def transformer(mechanism=SpikingSelfAttention, **arguments):
    defaults = {
        "vocab_size": 11,
        "d_model": 8,
        "nhead": 2,
        "num_layers": 2,
        "timesteps": 3,
        "threshold": 0.5,
        "max_length": 9,
        "dropout": 0.0,
        "neuron": soft,
        "attention": partial(SpikingAttention, mechanism=mechanism, dropout=0.0),
    }
    return SpikingTransformer(**{**defaults, **arguments})


def ids(*shape):
    return torch.randint(11, shape)


@pytest.mark.parametrize("shape", [(1, 1), (3, 9), (2, 4)])
@pytest.mark.parametrize("residual", ["membrane", "sew"])
def test_shapes(shape, residual):
    features = transformer(residual=residual).eval()(ids(*shape))
    assert features.shape == (shape[0], 3, shape[1], 8)


def test_embeddings_enter_as_a_constant_current():
    model = calibrate(transformer(), ids(4, 7))
    seen = []
    handle = model.blocks.register_forward_hook(lambda m, args, out: seen.append(args[0]))
    tokens = ids(2, 5)
    model(tokens)
    handle.remove()
    embedded = model.token_embedding.weight[tokens] + model.position_embedding.weight[:5]
    expected = model.embedding_norm(embedded.unsqueeze(1)).expand(-1, 3, -1, -1)
    torch.testing.assert_close(seen[0], expected)


@mechanisms
@norms
@pytest.mark.parametrize("residual", ["membrane", "sew"])
def test_later_tokens_do_not_change_earlier_ones_when_causal(mechanism, norm, residual):
    a, b = ids(4, 8), ids(4, 8)
    b[:, :5] = a[:, :5]
    model = calibrate(transformer(mechanism, causal=True, norm=norm, residual=residual), a)
    first, second = model(a), model(b)
    assert first[:, :, :5].sum() > 0
    assert torch.equal(first[:, :, :5], second[:, :, :5])
    assert not torch.equal(first[:, :, 5:], second[:, :, 5:])
    assert torch.equal(model(a[:, :5]), first[:, :, :5])


@pytest.mark.parametrize("mechanism", MECHANISMS[1:])
def test_later_tokens_do_change_earlier_ones_otherwise(mechanism):
    a, b = ids(4, 8), ids(4, 8)
    b[:, :5] = a[:, :5]
    model = calibrate(transformer(mechanism), a)
    assert not torch.equal(model(a)[:, :, :5], model(b)[:, :, :5])


@mechanisms
@norms
@pytest.mark.parametrize("training", [True, False])
def test_features_of_real_tokens_do_not_depend_on_padding(mechanism, norm, training):
    # In float64, so that another order of summation flips no spike.
    model = calibrate(transformer(mechanism, norm=norm).double(), ids(4, 9)).train(training)
    lengths = torch.tensor([5, 2, 4])
    tokens = ids(3, 5)
    mask = torch.arange(5) < lengths[:, None]

    def real_features(tokens, mask):
        """Features of real tokens, and what the batch norms learned from them."""
        copied = copy.deepcopy(model)
        features = copied(tokens, mask).transpose(1, 2)[mask.bool()]
        return features, [v for n, v in copied.state_dict().items() if "running" in n]

    expected, expected_statistics = real_features(tokens, mask)
    assert 0 < expected.mean() < 1
    other_filler = torch.where(mask, tokens, ids(3, 5))
    longer = torch.cat([other_filler, ids(3, 4)], dim=1)
    longer_mask = torch.cat([mask, torch.zeros(3, 4, dtype=torch.bool)], dim=1)
    for case in ((other_filler, mask), (longer, longer_mask), (longer, longer_mask.int())):
        features, statistics = real_features(*case)
        assert torch.equal(features, expected)
        torch.testing.assert_close(statistics, expected_statistics)


@mechanisms
def test_a_mask_of_real_tokens_alone_changes_nothing(mechanism):
    tokens = ids(3, 6)
    model = calibrate(transformer(mechanism), tokens)
    expected = model(tokens)
    assert torch.equal(model(tokens, torch.ones(3, 6, dtype=torch.bool)), expected)


@mechanisms
def test_messages_between_layers_are_binary(mechanism):
    tokens = ids(4, 7)
    model = calibrate(transformer(mechanism), tokens)
    with recorded(model, nn.Linear) as seen:
        model(tokens)
    assert len(seen) == 4 * 2
    for name, (message, _) in seen.items():
        assert set(message.unique().tolist()) == {0.0, 1.0}, name


@mechanisms
@norms
def test_gradients_reach_every_parameter(mechanism, norm):
    model = transformer(mechanism, norm=norm, causal=True)
    features = model(ids(6, 9))
    (features * torch.randn_like(features)).sum().backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert silent == []


def test_state_dict_round_trip():
    tokens = ids(3, 6)
    model, other = calibrate(transformer(), tokens), transformer()
    other.load_state_dict(model.state_dict())
    assert model(tokens).sum() > 0
    assert torch.equal(other.eval()(tokens), model(tokens))


def test_autocast():
    model = transformer()
    mask = torch.arange(6) < torch.tensor([[6], [4]])
    with torch.autocast("cpu", torch.bfloat16):
        features = model(ids(2, 6), mask)
    (features.float() * torch.randn(features.shape)).sum().backward()
    assert set(features.unique().tolist()) <= {0.0, 1.0}
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_dropout_acts_on_embeddings_in_training_only():
    model, tokens = transformer(dropout=1.0), ids(2, 4)
    with recorded(model, nn.Dropout) as seen:
        model(tokens)
    assert seen["dropout"][1].abs().sum() == 0
    with recorded(model.eval(), nn.Dropout) as seen:
        model(tokens)
    assert torch.equal(*seen["dropout"])


@pytest.mark.parametrize(
    ("tokens", "mask", "message"),
    [
        (torch.rand(2, 3), None, "integer token ids"),
        (torch.zeros(3, dtype=torch.int64), None, "integer token ids"),
        (torch.zeros(1, 10, dtype=torch.int64), None, "max_length=9 tokens, but got 10"),
        (torch.full((1, 2), 11), None, "vocab_size - 1 = 10, but got ids from 11 to 11"),
        (torch.full((1, 2), -1), None, "ids from -1"),
        (torch.zeros(2, 3, dtype=torch.int64), torch.ones(2, 4), r"\(2, 3\), but got \(2, 4\)"),
    ],
)
def test_bad_inputs(tokens, mask, message):
    with pytest.raises(SpikingDynamicsError, match=message):
        transformer()(tokens, mask)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocab_size": 0}, "`vocab_size`"),
        ({"nhead": 3}, "`d_model` to be divisible by nhead=3"),
        ({"num_layers": 0}, "`num_layers`"),
        ({"timesteps": 0}, "`timesteps`"),
        ({"threshold": -1.0}, "`threshold`"),
        ({"max_length": 0}, "`max_length`"),
        ({"dropout": 1.1}, "`dropout`"),
        ({"norm": "none"}, "`norm`"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        transformer(**arguments)
