"""Learning-rate schedules, stepped once a batch."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR

from spikeformer.error_handling import check_interval, check_positive_int


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
    peak = max(group["lr"] for group in optimizer.param_groups)
    falling = CosineAnnealingLR(optimizer, total_steps - rising, eta_min=final * peak)
    if rising == 0:
        return falling
    start = LinearLR(optimizer, start_factor=1 / (rising + 1), total_iters=rising)
    return SequentialLR(optimizer, [start, falling], milestones=[rising])
