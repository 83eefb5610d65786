"""Batches of a loader, whatever they look like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from spikeformer.error_handling import ConversionError
from spikeformer.i18n import t

_LABELS = ("labels", "label", "targets", "target")


def arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return positional and keyword arguments of a tensor, a tuple or a dict of arguments."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)), {}


def split(batch: Any) -> tuple[Any, Tensor | None]:
    """Return the inputs and the targets of a batch; None where it has no targets.

    A batch is what data modules give, `(inputs, targets)`, or a dict with an entry "labels", or
    inputs alone.
    """
    if isinstance(batch, Mapping):
        targets = next((batch[name] for name in _LABELS if name in batch), None)
        return {name: x for name, x in batch.items() if name not in _LABELS}, targets
    if isinstance(batch, tuple | list) and len(batch) == 2 and _are_targets(batch):
        return batch[0], batch[1]
    if isinstance(batch, list):
        return tuple(batch), None
    return batch, None


def _are_targets(batch: Any) -> bool:
    inputs, targets = batch
    if not isinstance(targets, Tensor) or targets.is_floating_point():
        return isinstance(inputs, Mapping)
    sizes = {len(leaf) for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor) and leaf.ndim}
    return targets.ndim == 1 and sizes == {len(targets)}


def size(inputs: Any) -> int:
    """Return the number of samples in a batch of inputs."""
    return next(len(leaf) for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor) and leaf.ndim)


def on_device_of(network: nn.Module, inputs: Any) -> Any:
    """Move a batch of inputs to where the network is."""
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    return tree_map(lambda x: x.to(device) if isinstance(x, Tensor) else x, inputs)


def take(loader: Iterable[Any], num_samples: int) -> Iterator[tuple[Any, Tensor | None]]:
    """Yield batches, split, until they hold `num_samples`; the last may go beyond.

    Raises:
        ConversionError: There is not one batch, or one without samples.
    """
    seen = 0
    for batch in loader:
        inputs, targets = split(batch)
        if not any(isinstance(leaf, Tensor) for leaf in tree_leaves(inputs)):
            raise ConversionError(t("conversion.strange_batch", type=type(batch).__name__))
        seen += size(inputs)
        yield inputs, targets
        if seen >= num_samples:
            return
    if not seen:
        raise ConversionError(t("conversion.empty_loader"))
