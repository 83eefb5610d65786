"""How ops see memory: (batch, timesteps, features) with features contiguous.

Axes as suffixes: b batch, t timesteps, f features.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from spikeformer.ops.memory import empty_like

BLOCK = 1024
"""Features of a task of a CPU kernel, at most.

Rows are long enough to vectorise and prefetch, and scratch memory small enough for L2; being a
constant, it lets LLVM see that rows of scratch memory do not overlap.
"""


class FeatureAxes(NamedTuple):
    """The feature axes of a (batch, timesteps, *features) tensor in the order they lie in memory.

    Args:
        order: Feature axes from the largest stride to the smallest; the first is 0.
        sizes: Their sizes in that order.
    """

    order: tuple[int, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, tensor: Tensor) -> FeatureAxes:
        """Read them off `tensor`, so that `flatten` is a view for any dense permutation of axes."""
        strides = tensor.stride()[2:]
        order = sorted(range(len(strides)), key=lambda axis: -strides[axis])
        return cls(tuple(order), tuple(tensor.shape[2 + axis] for axis in order))

    def flatten(self, tensor: Tensor, leading: int) -> Tensor:
        """(*leading, *features) to (*leading, features), as a view where memory allows."""
        if not self.order:
            return tensor.unsqueeze(-1)
        return self._permute(tensor, leading, self.order).flatten(leading)

    def restore(self, tensor: Tensor, leading: int) -> Tensor:
        """Undo `flatten`, as a view."""
        if not self.order:
            return tensor.squeeze(-1)
        back = tuple(self.order.index(axis) for axis in range(len(self.order)))
        return self._permute(tensor.view(*tensor.shape[:leading], *self.sizes), leading, back)

    @staticmethod
    def _permute(tensor: Tensor, leading: int, order: tuple[int, ...]) -> Tensor:
        if order == tuple(range(len(order))):
            return tensor
        return tensor.permute(*range(leading), *(leading + axis for axis in order))


def as_rows(x_btf: Tensor) -> Tensor:
    """The tensor with contiguous features; copied if need be, but never along an expanded axis."""
    if x_btf.stride(2) == 1:
        return x_btf
    once = x_btf
    for axis in (0, 1):
        if x_btf.stride(axis) == 0:
            once = once.narrow(axis, 0, min(1, x_btf.shape[axis]))
    return once.contiguous().expand(x_btf.shape)


def empty_rows_like(x_btf: Tensor) -> Tensor:
    """Uninitialised dense tensor with contiguous features, time-major in memory if `x_btf` is."""
    batch, timesteps, features = x_btf.shape
    if 0 < x_btf.stride(0) < x_btf.stride(1):
        return empty_like(x_btf, (timesteps, batch, features)).transpose(0, 1)
    return empty_like(x_btf, (batch, timesteps, features))
