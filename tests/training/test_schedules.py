from __future__ import annotations

import math

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.training import cosine_with_warmup, one_cycle, steps_with_warmup


def rates(total, peaks=(0.4,), schedule=cosine_with_warmup, **options):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in peaks]
    optimizer = torch.optim.SGD(groups)
    schedule = schedule(optimizer, total, **options)
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


def torch_rates(total, make, peak=0.4):
    """The rates of one of torch's own schedulers."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    schedule, seen = make(optimizer), []
    for step in range(total):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < total - 1:
            schedule.step()
    return seen


# A warm-up of less than a step is left out: torch divides by zero there.
@pytest.mark.parametrize(
    ("total", "warmup"), [(7, 0.3), (7, 0.9), (20, 0.1), (20, 0.3), (20, 0.9), (101, 0.1)]
)
def test_one_cycle_is_torchs(total, warmup):
    expected = torch_rates(
        total,
        lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 0.4, total_steps=total, pct_start=warmup, cycle_momentum=False
        ),
    )
    found = rates(total, peaks=(0.4, 0.1), schedule=one_cycle, warmup=warmup)
    assert [big for big, _ in found] == pytest.approx(expected, rel=1e-6)
    assert [small for _, small in found] == pytest.approx([x / 4 for x in expected], rel=1e-6)


@pytest.mark.parametrize("total", [1, 2, 3])
@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0])
def test_one_cycle_of_few_steps_stays_in_its_range(total, warmup):
    found = [lr for (lr,) in rates(total, schedule=one_cycle, warmup=warmup, final=0.1)]
    assert all(0.016 - 1e-9 <= lr <= 0.4 + 1e-9 for lr in found)


@pytest.mark.parametrize(
    ("total", "milestones", "gamma"), [(40, [0.5, 0.75], 0.1), (9, [1 / 3], 0.5)]
)
def test_steps_are_torchs(total, milestones, gamma):
    falls = [round(x * total) for x in milestones]
    expected = torch_rates(
        total, lambda optimizer: torch.optim.lr_scheduler.MultiStepLR(optimizer, falls, gamma)
    )
    options = {"milestones": milestones, "gamma": gamma}
    plain = [lr for (lr,) in rates(total, schedule=steps_with_warmup, **options)]
    assert plain == pytest.approx(expected)
    rising = round(0.2 * total)
    warm = [lr for (lr,) in rates(total, schedule=steps_with_warmup, warmup=0.2, **options)]
    assert warm[rising:] == pytest.approx(expected[rising:])
    linear = [0.4 * (step + 1) / (rising + 1) for step in range(rising)]
    assert warm[:rising] == pytest.approx(linear)


def test_a_cosine_is_torchs():
    """Ours ends a step later: torch's reaches the end at its last step."""
    expected = torch_rates(
        31,
        lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 30, eta_min=0.1),
    )
    found = [lr for (lr,) in rates(30, warmup=0.0, final=0.25)]
    assert found == pytest.approx(expected[:30])


@pytest.mark.parametrize(
    ("schedule", "arguments", "name"),
    [
        (steps_with_warmup, {"milestones": [0.7, 0.5]}, "milestones"),
        (steps_with_warmup, {"milestones": [0.0]}, "milestones"),
        (steps_with_warmup, {"gamma": 0.0}, "gamma"),
        (one_cycle, {"start": 2.0}, "start"),
        (one_cycle, {"total_steps": 0}, "total_steps"),
    ],
)
def test_bad_arguments_of_the_others(schedule, arguments, name):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(ArgumentError, match=f"`{name}`"):
        schedule(optimizer, **{"total_steps": 10, **arguments})
