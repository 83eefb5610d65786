"""Batch norm over the joined batch of all processes of a distributed run."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _SumOverProcesses(torch.autograd.Function):
    """Sum of a tensor over all processes; its gradient is summed likewise."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _summed(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _summed(grad)


def _summed(x: Tensor) -> Tensor:
    total = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


def trains_with_others() -> bool:
    """Whether this process is one of several in a process group."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def normalise(
    norm: _BatchNorm,
    x: Tensor,
    channel_axis: int,
    real: Tensor | None = None,
    *,
    over_processes: bool = False,
) -> Tensor:
    """Normalise by the moments of `x` itself and move the running statistics towards them.

    The variance is taken around the mean, in a second pass, so that a mean far from zero costs no
    digits.

    Args:
        norm: Holds weight, bias and running statistics.
        x: Any shape with channels on `channel_axis`.
        channel_axis: Axis of the channels.
        real: 1 where a value counts, 0 where it does not, shaped to broadcast over `x`, with one
            channel; None counts all. Where none counts the running statistics stay as they are.
        over_processes: Take the moments over the `x` of all processes, as if their batches were
            one. Every process has to call this.
    """
    channel_axis %= x.dim()
    axes = [axis for axis in range(x.dim()) if axis != channel_axis]
    shape = [-1 if axis == channel_axis else 1 for axis in range(x.dim())]
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if real is None:
        real = wide.new_ones(1)
    # Axes over which `real` is broadcast count as often as they are long.
    repeats = x.numel() / max(1, x.shape[channel_axis]) / max(1, real.numel())
    count = (real.sum(dtype=wide.dtype) * repeats).reshape(1)
    sums = torch.cat([(wide * real).sum(axes), count])
    if over_processes:
        sums = _SumOverProcesses.apply(sums)  # type: ignore[no-untyped-call]
    count = sums[-1].detach()
    some, count = (count > 0).to(wide.dtype), count.clamp(min=1)
    mean = (sums[:-1] / count).view(shape)
    centred = wide - mean
    squares = (centred.square() * real).sum(axes)
    if over_processes:
        squares = _SumOverProcesses.apply(squares)  # type: ignore[no-untyped-call]
    variance = squares / count + (1 - some)  # 1 where nothing counts
    with torch.no_grad():
        _follow(norm, mean.flatten(), variance * (count / (count - 1).clamp(min=1)), some)
    scale = torch.rsqrt(variance + norm.eps)
    if norm.affine:
        scale = scale * norm.weight
    normed = centred * scale.view(shape)
    if norm.affine:
        normed = normed + norm.bias.view(shape)
    return normed.to(x.dtype)


def _follow(norm: _BatchNorm, mean: Tensor, unbiased_variance: Tensor, some: Tensor) -> None:
    """Move the running statistics towards those of a batch, if `some`, which is 0 or 1, is 1."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(some.to(norm.num_batches_tracked.dtype))
    share = norm.momentum
    if share is None:  # torch's cumulative average
        share = 1.0 / max(1.0, float(norm.num_batches_tracked))
    for running, found in ((norm.running_mean, mean), (norm.running_var, unbiased_variance)):
        running.lerp_(found.to(running.dtype), (share * some).to(running.dtype))


class _OverProcesses(_BatchNorm):
    """What a batch norm of torch becomes; unlike `torch.nn.SyncBatchNorm` it works on CPUs too."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - torch's name
        """Take what the module took before."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Normalise (batch, channels, ...)."""
        if self.training and trains_with_others():
            return normalise(self, input, 1, over_processes=True)
        return super().forward(input)


def share_batch_norms(net: nn.Module, share: bool = True) -> None:
    """Let every batch norm in `net` take its statistics over all processes, or no longer.

    While training, each then normalises by the moments of the processes' joined batch, and
    gradients flow through them from process to process: a network trained on W batches in W
    processes gets the gradients that it would get from the joined batch in one. Every process has
    to run the network as often as the others. Names of parameters stay as they are.

    Args:
        net: The network, changed in place; SpikeFormer's norms and torch's `BatchNorm1d`, `2d`
            and `3d` are found in it.
        share: False takes the statistics of each process's own batch again.
    """
    for module in net.modules():
        if hasattr(module, "over_processes"):
            vars(module)["over_processes"] = share
        elif share and type(module) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
            vars(module)["plain_type"] = type(module)
            module.__class__ = _OverProcesses
        elif not share and isinstance(module, _OverProcesses):
            module.__class__ = vars(module).pop("plain_type")
