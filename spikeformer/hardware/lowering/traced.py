"""A tensor that remembers how it depends on spikes, so that a network's own code lowers itself.

The network runs once on a `TracedTensor`. Whatever only moves elements (views, transposes, slices)
moves their indices; sums, scaling and coincidences are written down; all else is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeformer.hardware.lowering.current import Current

aten = torch.ops.aten

MOVES = frozenset(
    {
        aten.view,
        aten._unsafe_view,
        aten.reshape,
        aten.permute,
        aten.transpose,
        aten.t,
        aten.expand,
        aten.unsqueeze,
        aten.squeeze,
        aten.select,
        aten.slice,
        aten.unbind,
        aten.split,
        aten.split_with_sizes,
        aten.flip,
        aten.index_select,
        aten.clone,
        aten.alias,
        aten.detach,
        aten.contiguous,
        aten.repeat,
        aten.roll,
    }
)
"""Operators that move elements and change none."""


Recorder = Callable[[Any, Sequence[Any], dict[str, Any]], Any]
"""Writes down an operator that is more than a move, called with it, its arguments and keywords."""

_recorder: ContextVar[Recorder] = ContextVar("_recorder")


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Let `recorder` handle every operation on traced tensors inside."""
    token = _recorder.set(recorder)
    try:
        yield
    finally:
        _recorder.reset(token)


class TracedTensor(Tensor):
    """Elements of a `Current` over time, in the shape that the network sees.

    Attributes:
        current: The features that its elements belong to.
        index: Which element is which, int64: `step * current.size + feature`; where the current
            is constant, just the feature.
    """

    current: Current
    index: Tensor  # type: ignore[assignment]  # Tensor has a method of this name, which we need not

    @staticmethod
    def __new__(cls: type[TracedTensor], current: Current, index: Tensor) -> TracedTensor:
        """Wrap indices; the tensor has their shape and strides and no memory of its own."""
        self: TracedTensor = Tensor._make_wrapper_subclass(
            cls, index.shape, strides=index.stride(), dtype=torch.float64
        )
        self.current, self.index = current, index
        return self

    def __repr__(self) -> str:  # type: ignore[override]
        return f"TracedTensor(shape={tuple(self.shape)}, sources={list(self.current.terms)})"

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Move indices, or ask the recorder."""
        kwargs = kwargs or {}
        if func.overloadpacket in MOVES and isinstance(args[0], TracedTensor):
            traced = args[0]
            moved = func(traced.index, *args[1:], **kwargs)
            if isinstance(moved, Tensor):
                return TracedTensor(traced.current, moved)
            return [TracedTensor(traced.current, index) for index in moved]
        decomposed = func.decompose(*args, **kwargs)
        if decomposed is not NotImplemented:
            return decomposed
        return _recorder.get()(func.overloadpacket, args, kwargs)


class Rows:
    """A traced tensor as rows of features, each row from one timestep.

    Args:
        x: The tensor.
        axes: How many of its last axes make a row.

    Attributes:
        features: The rows of one timestep, in the network's order: a current of `count * width`
            features.
        count: Rows of a timestep.
        width: Features of a row.
        num_steps: Timesteps that `x` has; None where it is constant.
    """

    def __init__(self, x: TracedTensor, axes: int) -> None:
        lead = x.shape[: x.ndim - axes]
        index = x.index.reshape(int(np.prod(lead)), -1).numpy()
        self._lead = lead
        self.width = index.shape[1]
        size = x.current.size
        if x.current.constant:
            if (index == index[0]).all():  # one row, the same at every timestep
                rows, place = index[:1], np.zeros(len(index), np.int64)
            else:
                rows, place = np.unique(index, axis=0, return_inverse=True)
            self._step, self._place = np.zeros(len(index), np.int64), place.reshape(-1)
            self.num_steps = None
        else:
            step, feature = np.divmod(index, size)
            self._step = step[:, 0]
            self.num_steps = int(self._step.max()) + 1
            order = np.argsort(self._step, kind="stable").reshape(self.num_steps, -1)
            rows = feature[order[0]]
            mixed = (step != self._step[:, None]).any() or (feature[order] != rows).any()
            if mixed:
                raise MixedTimeError
            self._place = np.empty(len(index), np.int64)
            self._place[order] = np.arange(order.shape[1])
        self.count = len(rows)
        self.features = x.current.take(rows.ravel())

    def rebuild(self, current: Current, shape: Sequence[int]) -> TracedTensor:
        """Return rows of another shape in the place of the old ones; `current` has all of them."""
        width = int(np.prod(shape))
        start = self._step * current.size + self._place * width
        index = torch.from_numpy(start[:, None] + np.arange(width))
        return TracedTensor(current, index.reshape(*self._lead, *shape))


class MixedTimeError(Exception):
    """Elements of several timesteps met in one feature."""


def elementwise(
    x: TracedTensor, y: TracedTensor, combine: Callable[[Current, Current], Current]
) -> TracedTensor:
    """Combine two traced tensors element by element, with broadcasting."""
    indices = torch.broadcast_tensors(x.index, y.index)  # type: ignore[no-untyped-call]
    shape = indices[0].shape
    features, steps = [], []
    for tensor, index in zip((x, y), indices, strict=True):
        step, feature = np.divmod(index.reshape(-1).numpy(), tensor.current.size)
        features.append(feature)
        if not tensor.current.constant:
            steps.append(step)
    if not steps:
        pairs = np.stack(features, axis=1)
        wanted, place = np.unique(pairs, axis=0, return_inverse=True)
        step, place = np.zeros(len(pairs), np.int64), place.reshape(-1)
    else:
        step = steps[0]
        order = np.argsort(step, kind="stable").reshape(int(step.max()) + 1, -1)
        wanted = np.stack([feature[order[0]] for feature in features], axis=1)
        moved = any((feature[order] != feature[order[0]]).any() for feature in features)
        if moved or (steps[-1] != step).any():
            raise MixedTimeError
        place = np.empty(len(step), np.int64)
        place[order] = np.arange(order.shape[1])
    current = combine(x.current.take(wanted[:, 0]), y.current.take(wanted[:, 1]))
    index = torch.from_numpy(step * current.size + place)
    return TracedTensor(current, index.reshape(shape))


def joined(tensors: Sequence[TracedTensor], axis: int) -> TracedTensor:
    """Put traced tensors one behind the other along an axis."""
    total = sum(x.current.size for x in tensors)
    moving = next((x for x in tensors if not x.current.constant), None)
    indices, offset = [], 0
    for x in tensors:
        if not x.current.constant:
            step, feature = x.index // x.current.size, x.index % x.current.size
        elif moving is not None:
            # What is the same in every timestep is wherever its neighbours are.
            step = (moving.index // moving.current.size).narrow(axis, 0, 1).expand(x.shape)
            feature = x.index
        else:
            step, feature = torch.zeros_like(x.index), x.index
        indices.append(step * total + offset + feature)
        offset += x.current.size
    current = Current.joined([x.current for x in tensors])
    return TracedTensor(current, torch.cat(indices, dim=axis))


def reduced(x: TracedTensor, axes: Sequence[int], *, keepdim: bool) -> tuple[Rows, list[int]]:
    """Return `x` as rows of what is summed over, and the shape of the sum."""
    summed = sorted(axis % x.ndim for axis in axes)
    kept = [axis for axis in range(x.ndim) if axis not in summed]
    moved = x.permute(*kept, *summed)
    assert isinstance(moved, TracedTensor)
    shape = [
        1 if axis in summed else x.shape[axis]
        for axis in range(x.ndim)
        if keepdim or axis not in summed
    ]
    return Rows(moved, len(summed)), shape
