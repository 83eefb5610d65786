"""Each loss against its formula, in Python numbers."""

from __future__ import annotations

import math

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.training import LOSSES, get_loss
from spikeformer.training.losses import (
    binary_cross_entropy,
    cross_entropy,
    mse,
    mse_rate,
    next_token,
    predicted_class,
    spike_count_loss,
    tet,
)

OUTPUTS = torch.tensor([[[1.0, -0.5, 0.25], [2.0, 0.5, 0.0]], [[0.0, 1.5, -1.0], [0.5, 0.0, 1.0]]])
HARD = torch.tensor([0, 2])
SOFT = torch.tensor([[0.7, 0.3, 0.0], [0.1, 0.2, 0.7]])
targets = pytest.mark.parametrize("target", [HARD, SOFT], ids=["hard", "soft"])


def shares(target):
    """Class shares of each sample as lists."""
    if target.ndim == 2:
        return target.tolist()
    return [[float(c == t) for c in range(3)] for t in target.tolist()]


def ce(logits, share):
    total = math.log(sum(math.exp(x) for x in logits))
    return sum(p * (total - x) for p, x in zip(share, logits, strict=True))


def per_step(b):
    return OUTPUTS[b].tolist()


def average(b, times=1.0):
    return [times * (x + y) / 2 for x, y in zip(*per_step(b), strict=True)]


@targets
def test_cross_entropy_of_the_average(target):
    expected = sum(ce(average(b), shares(target)[b]) for b in range(2)) / 2
    assert cross_entropy(OUTPUTS, target).item() == pytest.approx(expected)


@targets
def test_label_smoothing(target):
    smooth = [[0.9 * p + 0.1 / 3 for p in row] for row in shares(target)]
    expected = sum(ce(average(b), smooth[b]) for b in range(2)) / 2
    assert cross_entropy(OUTPUTS, target, label_smoothing=0.1).item() == pytest.approx(expected)


@targets
def test_spike_count_takes_the_sum(target):
    expected = sum(ce(average(b, times=2), shares(target)[b]) for b in range(2)) / 2
    assert spike_count_loss(OUTPUTS, target).item() == pytest.approx(expected)


@targets
@pytest.mark.parametrize(("weight", "level"), [(0.05, 1.0), (0.4, 0.5), (0.0, 1.0), (1.0, 1.0)])
def test_tet(target, weight, level):
    steps = [(b, step) for b in range(2) for step in per_step(b)]
    entropy = sum(ce(step, shares(target)[b]) for b, step in steps) / 4
    distance = sum((x - level) ** 2 for _, step in steps for x in step) / 12
    expected = (1 - weight) * entropy + weight * distance
    loss = tet(OUTPUTS, target, regularization=weight, level=level)
    assert loss.item() == pytest.approx(expected)


def test_tet_has_its_documented_defaults():
    assert tet(OUTPUTS, HARD) == tet(OUTPUTS, HARD, regularization=0.05, level=1.0)
    with pytest.raises(ArgumentError, match="`regularization`"):
        tet(OUTPUTS, HARD, regularization=1.5)


@targets
@pytest.mark.parametrize(("on", "off"), [(1.0, 0.0), (0.9, 0.1)])
def test_mse_rate(target, on, off):
    expected = sum(
        (x - (off + (on - off) * p)) ** 2
        for b in range(2)
        for x, p in zip(average(b), shares(target)[b], strict=True)
    )
    loss = mse_rate(OUTPUTS, target, on_rate=on, off_rate=off)
    assert loss.item() == pytest.approx(expected / 6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_binary_cross_entropy(dtype):
    target = torch.tensor([[1, 0, 1], [0, 0, 1]], dtype=dtype)
    expected = 0.0
    for b in range(2):
        for x, y in zip(average(b), target[b].tolist(), strict=True):
            p = 1 / (1 + math.exp(-x))
            expected -= math.log(p if y else 1 - p) / 6
    assert binary_cross_entropy(OUTPUTS, target).item() == pytest.approx(expected)


def test_mse():
    target = torch.tensor([[0.5, 1.0, -1.0], [2.0, 0.0, 0.0]])
    expected = sum(
        (x - y) ** 2 for b in range(2) for x, y in zip(average(b), target[b].tolist(), strict=True)
    )
    assert mse(OUTPUTS, target).item() == pytest.approx(expected / 6)
    # One target may come without its axis; it must not be spread over all pairs.
    single = mse(OUTPUTS[..., :1], torch.tensor([1.5, 0.25]))
    assert single.item() == 0.0


def test_next_token_ignores_padding():
    logits = torch.randn(2, 3, 4, 5)
    target = torch.tensor([[1, 4, -100, -100], [0, 2, 3, -100]])
    total, count = 0.0, 0
    for b in range(2):
        for n in range(4):
            if target[b, n] != -100:
                row = logits[b, :, n].mean(0).tolist()
                total += ce(row, [float(c == target[b, n]) for c in range(5)])
                count += 1
    assert next_token(logits, target).item() == pytest.approx(total / count, rel=1e-5)


def test_next_token_of_nothing_costs_nothing():
    logits = torch.randn(1, 2, 3, 4, requires_grad=True)
    loss = next_token(logits, torch.full((1, 3), -100))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad.abs().sum() == 0


def test_predicted_class():
    assert predicted_class(OUTPUTS).tolist() == [0, 1]


def test_by_name():
    assert set(LOSSES) == {
        "cross_entropy",
        "spike_count_loss",
        "tet",
        "mse_rate",
        "binary_cross_entropy",
        "mse",
        "next_token",
    }
    assert get_loss("tet") is tet
    with pytest.raises(ArgumentError, match=r"`loss_fn`.*'spike_count_loss'"):
        get_loss("hinge")


@pytest.mark.parametrize("name", ["cross_entropy", "spike_count_loss", "tet", "mse_rate"])
@pytest.mark.parametrize(
    "same",
    [
        lambda target: target.int(),
        lambda target: target.to(torch.uint8),
        lambda target: target.float(),
        lambda target: target.double()[:, None],
        lambda target: target.int()[:, None],
    ],
)
def test_classes_of_any_type_and_in_a_column(name, same):
    outputs = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([0, 2, 1, 1, 0])
    assert torch.equal(LOSSES[name](outputs, same(target)), LOSSES[name](outputs, target))


def test_probabilities_take_the_type_of_the_outputs():
    outputs = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    hot = torch.tensor([[1, 0, 0], [0, 0, 1]])
    expected = cross_entropy(outputs, torch.tensor([0, 2]))
    for target in (hot, hot.double(), hot.float()):
        torch.testing.assert_close(cross_entropy(outputs, target), expected)


@pytest.mark.parametrize(
    "target", [torch.tensor([0.5, 1.0]), torch.zeros(3), torch.zeros(2, 2), torch.zeros(2, 1, 1)]
)
def test_targets_that_are_no_classes_are_refused(target):
    with pytest.raises(ArgumentError, match=r"classes \(2,\), or probabilities \(2, 3\)"):
        cross_entropy(torch.zeros(2, 4, 3), target)
