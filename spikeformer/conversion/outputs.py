"""What a network returns, timestep by timestep, in whatever type it returns it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from spikeformer.conversion.cache import is_cache
from spikeformer.error_handling import ConversionError


class StepOutputs:
    """The outputs of some timesteps.

    Attributes:
        values: Every tensor of the output with an axis of timesteps in front.
        cache: Keys and values of all timesteps, which the output after the last one holds.
    """

    def __init__(self) -> None:
        self.values: list[Tensor] = []
        self.cache: Any = None
        self._leaves: list[Any] = []
        self._spec: TreeSpec | None = None

    def take(self, output: Any) -> list[Tensor]:
        """Set the tensors of an output apart from what holds them.

        Raises:
            ConversionError: The output holds what is neither a tensor nor a plain value.
        """
        leaves, self._spec = tree_flatten(output, is_leaf=is_cache)
        self._leaves = [None if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        self._places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
        self._caches = [place for place, leaf in enumerate(leaves) if is_cache(leaf)]
        self._leaves = [None if is_cache(leaf) else leaf for leaf in self._leaves]
        for leaf in self._leaves:
            if leaf is not None and not isinstance(leaf, bool | int | float | str):
                raise ConversionError(
                    f"The network returns a {type(leaf).__name__}; expected tensors and plain "
                    "values, in lists, tuples, dicts or ModelOutputs. Ask for no cache "
                    "(use_cache=False), or register the type with torch.utils._pytree."
                )
        if not self._places:
            raise ConversionError("The network returns no tensor, so that nothing can be read out.")
        return [leaves[place] for place in self._places]

    def each(self) -> Iterator[Any]:
        """Yield the output of every timestep; the last one of a call has the cache of all."""
        for step in range(len(self.values[0]) - 1):
            yield self.with_tensors([value[step] for value in self.values])
        yield self.last

    def with_tensors(self, tensors: list[Tensor]) -> Any:
        """Return an output of the network's type that holds these tensors."""
        return self._with(tensors, None)

    def _with(self, tensors: list[Tensor], cache: Any) -> Any:
        leaves = list(self._leaves)
        for place, tensor in zip(self._places, tensors, strict=True):
            leaves[place] = tensor
        for place in self._caches:
            leaves[place] = cache
        assert self._spec is not None
        return tree_unflatten(leaves, self._spec)

    @property
    def last(self) -> Any:
        """The output of the last timestep."""
        return self._with([value[-1] for value in self.values], self.cache)


class EarlyExit:
    """Takes every sample's output at the first timestep at which its class is clear.

    Args:
        confidence: Probability from which the most likely class counts as clear.
    """

    def __init__(self, confidence: float) -> None:
        self.confidence = confidence
        self._chosen: list[Tensor] = []
        self._done: Tensor | None = None

    def add(self, outputs: StepOutputs) -> bool:
        """Take the next timesteps in; return whether every sample is done."""
        for step, output in enumerate(outputs.each()):
            tensors = [value[step] for value in outputs.values]
            clear = class_scores(output).softmax(dim=-1).amax(dim=-1) >= self.confidence
            if self._done is None:
                self._chosen, self._done = tensors, clear
                continue
            self._chosen = [
                _choose(self._done, old, new)
                for old, new in zip(self._chosen, tensors, strict=True)
            ]
            self._done = self._done | clear
        return self._done is not None and bool(self._done.all())

    @property
    def tensors(self) -> list[Tensor]:
        """Every sample's tensors at its own exit, or at the last timestep."""
        return self._chosen


def class_scores(output: Any) -> Tensor:
    """Return the logits of an output, shape (batch, classes).

    Raises:
        ConversionError: It has none.
    """
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if logits is None and isinstance(output, dict):
        logits = output.get("logits")
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        raise ConversionError(
            f"Expected an output with logits (batch, classes), but got {type(output).__name__}. "
            "Convert a network with a classifier, such as ViTForImageClassification, or leave "
            "out what needs classes: confidence, agreement and accuracy."
        )
    return logits


def _choose(done: Tensor, old: Tensor, new: Tensor) -> Tensor:
    if new.ndim == 0 or len(new) != len(done):
        return new
    return torch.where(done.reshape(-1, *[1] * (new.ndim - 1)), old, new)
