"""What a batch is, once: its inputs and target, how many samples it has, and how a network gets it.

Inputs are a tensor, a tuple of a network's positional arguments, or a dict of its keyword
arguments. A batch is `(inputs, target)` as data modules give it, or a dict with an entry "labels"
as Hugging Face's collators give it: `{"pixel_values": ..., "labels": ...}`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from spikeformer.error_handling import ArgumentError

Inputs = Tensor | tuple[Any, ...] | Mapping[str, Any]
"""What a network takes: a tensor, its positional arguments, or its keyword arguments."""

LABELS = ("labels", "label", "targets", "target")
"""Entries of a dict that hold its target."""


def split(batch: Any) -> tuple[Any, Tensor]:
    """Return the inputs and the target of a batch.

    Raises:
        ArgumentError: It has no target, or one that is no tensor.

    Example:
        >>> inputs, target = split({"pixel_values": torch.rand(2, 3), "labels": torch.zeros(2)})
        >>> list(inputs), target.shape
        (['pixel_values'], torch.Size([2]))
    """
    if isinstance(batch, Mapping):
        target = next((batch[name] for name in LABELS if name in batch), None)
    else:
        pair = isinstance(batch, tuple | list) and len(batch) == 2
        target = batch[1] if pair else None
    if not isinstance(target, Tensor):
        expected = f"(inputs, target) or a dict with an entry {LABELS[0]!r}"
        raise ArgumentError("batch", _described(batch), expected)
    return inputs_of(batch), target


def inputs_of(batch: Any) -> Any:
    """Return the inputs of a batch that may have a target: the first of a tuple, no labels."""
    if isinstance(batch, Mapping):
        return {name: x for name, x in batch.items() if name not in LABELS}
    return _plain(batch[0]) if isinstance(batch, tuple | list) else batch


def as_floats(inputs: Any) -> Any:
    """Return inputs with images of bytes, 0 to 255, as floats from 0 to 1.

    Args:
        inputs: A network's inputs; images are uint8 (batch, 1 or 3, height, width).

    Raises:
        ArgumentError: There are other bytes with four axes or more, whose range nobody told.

    Example:
        >>> as_floats(torch.full((1, 1, 2, 2), 51, dtype=torch.uint8)).unique()
        tensor([0.2000])
    """

    def scale(x: Any) -> Any:
        if not isinstance(x, Tensor) or x.dtype != torch.uint8 or x.ndim < 4:
            return x
        if x.ndim == 4 and x.shape[1] in (1, 3):
            return x.float() / 255.0
        expected = "floats, or images (batch, 1 or 3, height, width) of bytes"
        raise ArgumentError("inputs", f"uint8 of shape {tuple(x.shape)}", expected)

    return tree_map(scale, _plain(inputs))


def unlabelled(inputs: Any) -> Any:
    """Return a network's inputs without the labels that a dict of Hugging Face's brings along."""
    return inputs_of(inputs) if isinstance(inputs, Mapping) else inputs


def split_if_labelled(batch: Any) -> tuple[Any, Tensor | None]:
    """Return the inputs and the target of a batch that may as well be inputs alone.

    A tuple of two is inputs and target if the first is a dict, or the second holds one integer
    for each sample; else it is two positional arguments.
    """
    if isinstance(batch, Mapping):
        return inputs_of(batch), next((batch[name] for name in LABELS if name in batch), None)
    if isinstance(batch, tuple | list) and len(batch) == 2 and _is_labelled(*batch):
        return _plain(batch[0]), batch[1]
    return _plain(batch), None


def num_samples(inputs: Any) -> int:
    """Return the number of samples: the rows of the first tensor that has any.

    Raises:
        ArgumentError: There is no tensor with rows.
    """
    tensors = _rows(inputs)
    if not tensors:
        raise ArgumentError("inputs", _described(inputs), "tensors of shape (samples, ...)")
    return len(tensors[0])


def select(inputs: Any, samples: slice | Tensor) -> Any:
    """Return some samples; what has no row for each sample stays as it is.

    Args:
        inputs: Samples.
        samples: A slice, or indices of shape (chosen,).
    """
    count = num_samples(inputs)

    def rows(x: Any) -> Any:
        return x[samples] if isinstance(x, Tensor) and x.ndim and len(x) == count else x

    return tree_map(rows, _plain(inputs))


def first(inputs: Any, count: int) -> Any:
    """Return the first `count` samples, or all if there are fewer."""
    return select(inputs, slice(count))


def parts(inputs: Any, size: int) -> Iterator[Any]:
    """Yield the samples in order, at most `size` at a time."""
    for start in range(0, num_samples(inputs), size):
        yield select(inputs, slice(start, start + size))


def take(
    loader: Iterable[Any], count: int, size: Callable[[Any], int] = num_samples
) -> Iterator[tuple[Any, Tensor | None]]:
    """Yield batches as `split_if_labelled` reads them until they hold `count` samples.

    The last batch may go beyond. `size` says how many samples the inputs of a batch are.

    Raises:
        ArgumentError: There is no batch, or one of something else than tensors.
    """
    seen = 0
    for batch in loader:
        inputs, target = split_if_labelled(batch)
        if not _rows(inputs):
            expected = "to yield batches of tensors: (inputs, target), a dict, or inputs alone"
            raise ArgumentError("loader", _described(batch), expected)
        seen += size(inputs)
        yield inputs, target
        if seen >= count:
            return
    if not seen:
        raise ArgumentError("loader", "an empty one", "a loader with at least one sample")


def join(batches: Sequence[Any]) -> Any:
    """Return the samples of several inputs of one structure as one; the reverse of `parts`."""
    if len(batches) == 1:
        return _plain(batches[0])

    def rows(*pieces: Any) -> Any:
        joins = isinstance(pieces[0], Tensor) and pieces[0].ndim
        return torch.cat(pieces) if joins else pieces[0]

    return tree_map(rows, *map(_plain, batches))


def to_device(inputs: Any, device: torch.device | str, *, non_blocking: bool = False) -> Any:
    """Return the inputs with every tensor on a device."""

    def move(x: Any) -> Any:
        return x.to(device, non_blocking=non_blocking) if isinstance(x, Tensor) else x

    return tree_map(move, _plain(inputs))


def device_of(network: nn.Module) -> torch.device:
    """Return where a network's parameters are; the CPU if it has none."""
    return next((p.device for p in network.parameters()), torch.device("cpu"))


def named_tensors(inputs: Any) -> dict[str, Tensor]:
    """Return the tensors by argument name; a single one is called ""."""
    plain = _plain(inputs)
    if isinstance(plain, tuple):
        return {str(place): x for place, x in enumerate(plain) if isinstance(x, Tensor)}
    named = plain if isinstance(plain, dict) else {"": plain}
    return {name: x for name, x in named.items() if isinstance(x, Tensor)}


def arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and the keyword arguments with which a network gets its inputs."""
    plain = _plain(inputs)
    if isinstance(plain, dict):
        return (), plain
    return (plain if isinstance(plain, tuple) else (plain,)), {}


def call(network: Callable[..., Any], inputs: Any) -> Any:
    """Return what a network makes of its inputs.

    Example:
        >>> call(torch.add, (torch.ones(1), torch.ones(1))), call(torch.exp, torch.zeros(1))
        (tensor([2.]), tensor([1.]))
    """
    args, kwargs = arguments(inputs)
    return network(*args, **kwargs)


def _plain(inputs: Any) -> Any:
    """Return containers that `tree_map` knows: Hugging Face's dicts are none of Python's."""
    if isinstance(inputs, Mapping):
        return dict(inputs)
    return tuple(inputs) if isinstance(inputs, list) else inputs


def _rows(inputs: Any) -> list[Tensor]:
    return [x for x in tree_leaves(_plain(inputs)) if isinstance(x, Tensor) and x.ndim]


def _is_labelled(inputs: Any, target: Any) -> bool:
    if isinstance(inputs, Mapping):
        return True
    if not isinstance(target, Tensor) or target.is_floating_point():
        return False
    return target.ndim == 1 and {len(x) for x in _rows(inputs)} == {len(target)}


def _described(batch: Any) -> str:
    """Say what a batch is made of without its values."""
    if isinstance(batch, Tensor):
        return f"a tensor of shape {tuple(batch.shape)}"
    if isinstance(batch, Mapping):
        return f"{type(batch).__name__} of {', '.join(map(repr, batch))}"
    if isinstance(batch, tuple | list):
        return f"{type(batch).__name__} of {', '.join(type(x).__name__ for x in batch)}"
    return type(batch).__name__
