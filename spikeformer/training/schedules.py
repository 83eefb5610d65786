"""Learning-rate schedules, stepped once a batch."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from spikeformer.config import registered
from spikeformer.error_handling import check_interval, check_positive_int


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
    check_positive_int("total_steps", total_steps)
    check_interval("warmup", warmup, 0.0, 1.0)
    check_interval("final", final, 0.0, 1.0)
    rising = min(round(warmup * total_steps), total_steps - 1)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        progress = min(1.0, (step - rising) / (total_steps - rising))
        return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2

    # A function of the step alone: a run that is resumed with another length follows the new curve.
    return LambdaLR(optimizer, factor)
