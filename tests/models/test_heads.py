from __future__ import annotations

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.models import CausalLMHead, ClassificationHead, MultiLabelHead, RegressionHead

pooled = pytest.mark.parametrize("kind", [ClassificationHead, MultiLabelHead, RegressionHead])


@pooled
def test_reads_the_mean_over_real_tokens(kind):
    head, features = kind(4, 3), torch.rand(2, 5, 6, 4)
    mask = torch.arange(6) < torch.tensor([[6], [2]])
    weight, bias = head.readout.weight, head.readout.bias
    for b, real in ((0, 6), (1, 2)):
        expected = features[b, :, :real].sum(1) / real @ weight.T + bias
        torch.testing.assert_close(head(features, mask)[b], expected)
        torch.testing.assert_close(head(features)[b], features[b].mean(1) @ weight.T + bias)
    assert head(features).shape == (2, 5, 3)


@pooled
def test_a_sample_without_any_real_token_gives_the_bias(kind):
    head = kind(4, 3)
    out = head(torch.rand(1, 2, 5, 4), torch.zeros(1, 5, dtype=torch.bool))
    torch.testing.assert_close(out, head.readout.bias.expand(1, 2, 3))


@pooled
def test_dropout(kind):
    head, features = kind(4, 3, dropout=1.0), torch.rand(1, 2, 5, 4)
    assert torch.equal(head(features), head.readout.bias.expand(1, 2, 3))
    assert not torch.equal(head.eval()(features), head.readout.bias.expand(1, 2, 3))
    with pytest.raises(ArgumentError, match="`dropout`"):
        kind(4, 3, dropout=-1.0)


@pooled
def test_gain_widens_the_initial_weights(kind):
    torch.manual_seed(0)
    plain = kind(4, 3)
    torch.manual_seed(0)
    wide = kind(4, 3, gain=16.0)
    assert torch.equal(wide.readout.weight, 16 * plain.readout.weight)
    assert torch.equal(wide.readout.bias, plain.readout.bias)
    with pytest.raises(ArgumentError, match="`gain`"):
        kind(4, 3, gain=0.0)


def test_regression_predicts_one_value_by_default():
    assert RegressionHead(4)(torch.rand(1, 2, 5, 4)).shape == (1, 2, 1)


def test_the_language_head_reads_every_token():
    head, features = CausalLMHead(4, 7), torch.rand(2, 3, 5, 4)
    out = head(features, torch.ones(2, 5, dtype=torch.bool))
    assert out.shape == (2, 3, 5, 7)
    torch.testing.assert_close(out[1, 2, 4], head.readout.weight @ features[1, 2, 4])


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (ClassificationHead, "num_classes"),
        (MultiLabelHead, "num_labels"),
        (RegressionHead, "num_targets"),
        (CausalLMHead, "vocab_size"),
    ],
)
def test_the_error_names_the_argument(kind, name):
    with pytest.raises(ArgumentError, match=f"`{name}`"):
        kind(4, 0)
