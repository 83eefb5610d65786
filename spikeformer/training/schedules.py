"""Learning-rate schedules, stepped once a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from spikeformer.config import registered
from spikeformer.error_handling import ArgumentError, check_interval, check_positive_int


@registered
def cosine_with_warmup(
    optimizer: Optimizer, total_steps: int, *, warmup: float = 0.1, final: float = 0.0
) -> LRScheduler:
    """Rise linearly, then fall along half a cosine.

    Args:
        optimizer: Its learning rates are the peak.
        total_steps: Number of batches in the whole training.
        warmup: Share of the steps in which the rate rises, in [0, 1).
        final: Rate at the end over the peak, in [0, 1].

    Source: Loshchilov & Hutter, ICLR 2017, arXiv:1608.03983.
    """
    rising = _rising(total_steps, warmup)
    check_interval("final", final, 0.0, 1.0)

    def factor(step: int) -> float:
        return _half_cosine(step - rising, total_steps - rising, 1.0, final)

    return _after_warmup(optimizer, rising, factor)


@registered
def steps_with_warmup(
    optimizer: Optimizer,
    total_steps: int,
    *,
    warmup: float = 0.0,
    milestones: Sequence[float] = (0.5, 0.75),
    gamma: float = 0.1,
) -> LRScheduler:
    """Rise linearly, then stay at the peak and fall by a factor at each milestone.

    Args:
        optimizer: Its learning rates are the peak.
        total_steps: Number of batches in the whole training.
        warmup: Share of the steps in which the rate rises, in [0, 1).
        milestones: Shares of all steps after which the rate falls, rising, in (0, 1].
        gamma: Factor at each of them, in (0, 1].

    Source: He et al., CVPR 2016, arXiv:1512.03385.
    """
    if any(not 0 < x <= 1 for x in milestones) or list(milestones) != sorted(milestones):
        raise ArgumentError("milestones", list(milestones), "rising shares of the steps, in (0, 1]")
    if not 0 < gamma <= 1:
        raise ArgumentError("gamma", gamma, "a number above 0, at most 1")
    rising = _rising(total_steps, warmup)
    falls = [round(x * total_steps) for x in milestones]

    def factor(step: int) -> float:
        return float(gamma ** sum(step >= fall for fall in falls))

    return _after_warmup(optimizer, rising, factor)


@registered
def one_cycle(
    optimizer: Optimizer,
    total_steps: int,
    *,
    warmup: float = 0.3,
    start: float = 0.04,
    final: float = 4e-6,
) -> LRScheduler:
    """Rise and fall along half a cosine each, from `start` over the peak to `final`.

    Args:
        optimizer: Its learning rates are the peak.
        total_steps: Number of batches in the whole training.
        warmup: Share of the steps in which the rate rises, in (0, 1).
        start: First rate over the peak, in [0, 1].
        final: Last rate over the peak, in [0, 1].

    Source: Smith & Topin, 2018, arXiv:1708.07120; as `torch.optim.lr_scheduler.OneCycleLR` has it,
    with momentum left as it is.
    """
    _rising(total_steps, warmup)
    check_interval("start", start, 0.0, 1.0)
    check_interval("final", final, 0.0, 1.0)
    top = max(0.0, warmup * total_steps - 1)

    def factor(step: int) -> float:
        if step < top:
            return _half_cosine(step, top, start, 1.0)
        return _half_cosine(step - top, total_steps - 1 - top, 1.0, final)

    return LambdaLR(optimizer, factor)


def _after_warmup(optimizer: Optimizer, rising: int, factor: Callable[[int], float]) -> LRScheduler:
    """Rise linearly for `rising` steps, then follow `factor`."""
    # A function of the step alone: a run that is resumed with another length follows the new curve.
    return LambdaLR(
        optimizer, lambda step: (step + 1) / (rising + 1) if step < rising else factor(step)
    )


def _rising(total_steps: int, warmup: float) -> int:
    """Return how many steps rise, of at least one more."""
    check_positive_int("total_steps", total_steps)
    check_interval("warmup", warmup, 0.0, 1.0)
    return min(round(warmup * total_steps), total_steps - 1)


def _half_cosine(step: float, steps: float, first: float, last: float) -> float:
    """Return the value at a step on the way from `first` to `last`, where it stays."""
    progress = min(1.0, step / steps) if steps > 0 else float(step > 0)
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2


SCHEDULES = (cosine_with_warmup, steps_with_warmup, one_cycle)
"""What a configuration's `scheduler` may be, besides torch's own schedulers."""
