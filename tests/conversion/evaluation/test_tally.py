"""Figures of samples and of tokens, against formulas written out."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from spikeformer.conversion.evaluation.tally import Tally, next_tokens, num_tokens

IDS = torch.tensor([[4, 7, 2, 9], [5, 3, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])


def logits(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_what_follows_a_token_is_its_target_and_padding_is_none():
    wanted = [[7, 2, 9, -100], [3, -100, -100, -100]]
    assert next_tokens({"input_ids": IDS, "attention_mask": MASK}).tolist() == wanted
    assert next_tokens((IDS,)).tolist() == [[7, 2, 9, -100], [3, 0, 0, -100]]
    decoded = {"input_ids": torch.ones(2, 9), "decoder_input_ids": IDS}
    assert next_tokens(decoded).tolist() == [[7, 2, 9, -100], [3, 0, 0, -100]]
    assert num_tokens({"input_ids": IDS, "attention_mask": MASK}) == 6
    assert num_tokens({"input_ids": IDS}) == num_tokens((IDS,)) == num_tokens(IDS) == 8


@pytest.mark.parametrize("given", [False, True])
def test_perplexity_and_divergence_of_tokens(given):
    inputs = {"input_ids": IDS, "attention_mask": MASK}
    original, steps = logits(0, 2, 4, 11), [logits(1, 2, 4, 11), logits(2, 2, 4, 11)]
    targets = next_tokens(inputs) if given else None
    tally = Tally(None, tokens=True, count_bytes=lambda tokens: 3 * len(tokens))
    assert tally.begin(inputs, SimpleNamespace(logits=original), targets) == 4
    for index, step in enumerate(steps):
        tally.add(SimpleNamespace(logits=step), last=index == 1)
    kept = [(0, 0, 7), (0, 1, 2), (0, 2, 9), (1, 0, 3)]
    for index, step in [(None, original), *enumerate(steps)]:
        surprise = [-step[row, place].log_softmax(0)[token] for row, place, token in kept]
        assert tally.perplexity(index) == pytest.approx(torch.stack(surprise).mean().exp().item())
    p = torch.stack([original[row, place].softmax(0) for row, place, _ in kept])
    q = torch.stack([steps[1][row, place].softmax(0) for row, place, _ in kept])
    assert tally.share("divergence", 1) == pytest.approx((p * (p / q).log()).sum().item() / 4)
    same = (p.argmax(1) == q.argmax(1)).float().mean().item()
    assert tally.share("same", 1) == pytest.approx(same)
    assert tally.num_bytes == 12


def test_batches_add_up():
    whole, parts = Tally(None, tokens=True), Tally(None, tokens=True)
    original, step = logits(0, 2, 4, 11), logits(1, 2, 4, 11)
    for tally, pieces in ((whole, [slice(0, 2)]), (parts, [slice(0, 1), slice(1, 2)])):
        for rows in pieces:
            tally.begin({"input_ids": IDS[rows]}, SimpleNamespace(logits=original[rows]), None)
            tally.add(SimpleNamespace(logits=step[rows]), last=True)
    assert whole.samples == parts.samples == 6
    assert whole.perplexity(0) == pytest.approx(parts.perplexity(0))
    assert whole.share("errors", 0) == pytest.approx(parts.share("errors", 0))


def test_each_sample_leaves_when_it_is_sure():
    sure, unsure = [9.0, 0.0], [0.1, 0.0]
    steps = [[sure, unsure, unsure], [unsure, sure, unsure], [unsure, unsure, unsure]]
    tally = Tally(0.9)
    tally.begin(torch.ones(3, 1), torch.tensor([sure, sure, [0.0, 1.0]]), torch.tensor([0, 1, 1]))
    for index, step in enumerate(steps):
        tally.add(torch.tensor(step), last=index == 2)
    assert tally.exits == {"steps": 1 + 2 + 3, "same": 2, "right": 1}
    assert tally.num_steps == 3


def test_outputs_without_classes_have_errors_alone():
    tally = Tally(None)
    tally.begin(torch.ones(2, 1), torch.ones(2, 3, 4), None)
    tally.add(torch.ones(2, 3, 4) * 1.5, last=True)
    assert tally.share("errors", 0) == pytest.approx(0.5)
    assert tally.share("same", 0) is None
    assert tally.perplexity(0) is None
