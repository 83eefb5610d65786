from __future__ import annotations

import math

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.training import cosine_with_warmup


def rates(total, peaks=(0.4,), **options):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in peaks]
    optimizer = torch.optim.SGD(groups)
    schedule = cosine_with_warmup(optimizer, total, **options)
    seen = []
    for _ in range(total):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return seen


@pytest.mark.parametrize(
    ("total", "warmup", "final"),
    [(50, 0.1, 0.0), (50, 0.3, 0.25), (20, 0.0, 0.0), (3, 0.1, 0.0), (1, 0.5, 0.0), (10, 1.0, 0.0)],
)
def test_every_value(total, warmup, final):
    rising = min(round(warmup * total), total - 1)
    for t, (lr,) in enumerate(rates(total, warmup=warmup, final=final)):
        if t < rising:
            expected = 0.4 * (t + 1) / (rising + 1)
        else:
            cosine = 0.5 * (1 + math.cos(math.pi * (t - rising) / (total - rising)))
            expected = 0.4 * (final + (1 - final) * cosine)
        assert lr == pytest.approx(expected, rel=1e-6, abs=1e-9), t


def test_groups_keep_their_ratio_while_rising():
    for big, small in rates(40, peaks=(0.4, 0.1), warmup=0.5)[:20]:
        assert big / small == pytest.approx(4.0)


@pytest.mark.parametrize("arguments", [{"warmup": 1.5}, {"final": -0.1}, {"total_steps": 0}])
def test_bad_arguments(arguments):
    (name,) = arguments
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(ArgumentError, match=f"`{name}`"):
        cosine_with_warmup(optimizer, **{"total_steps": 10, **arguments})
