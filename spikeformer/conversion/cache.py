"""Keys and values of earlier tokens, as a converted network sees them: one set per timestep.

In a causal network neither the keys nor the values of a token depend on later tokens, at no
timestep. A cache that holds them for every timestep therefore gives what computing the whole text
once more gives. It is the `DynamicCache` of `transformers`, whose tensors get an axis of timesteps
behind the batch, `(batch, timesteps, heads, tokens, channels)`; memory is `timesteps` times that of
the original. What `transformers` does to a cache between two calls (reordering and repeating rows
for beams, cutting tokens off the end) works on such tensors as it is.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from spikeformer.error_handling import ConversionError

LAYERS = ("DynamicLayer", "DynamicSlidingWindowLayer")
"""Layers of a cache that hold keys and values as they are, in tensors that grow."""


class StepCache:
    """The cache of one call, handed to the network chunk by chunk of timesteps.

    Args:
        cache: What the caller handed in; it is changed by `finish` alone. None where the network
            makes a cache of its own.
        timesteps: Sets of keys and values that it must hold: the timesteps of the call.

    Raises:
        ConversionError: It cannot hold keys and values per timestep, or holds other ones.
    """

    def __init__(self, cache: Any | None, timesteps: int) -> None:
        self.cache, self.timesteps = cache, timesteps
        self.last: Any = None
        self._grown: list[list[Tensor]] = []
        if cache is not None:
            _check(cache, timesteps)

    @property
    def started(self) -> bool:
        """Whether it holds tokens of an earlier call."""
        return self.cache is not None and bool(self.cache.get_seq_length())

    def chunk(self, first: int, steps: int) -> list[Tensor]:
        """Return keys and values of some timesteps, those of the first numbered 1."""
        if self.cache is None:
            return []
        return [x.narrow(1, first - 1, steps) for x in _tensors(self.cache)]

    def fill(self, kept: list[Tensor]) -> Any:
        """Return the cache for one timestep, a copy that the network may change."""
        self.last = None if self.cache is None else _copy(self.cache, kept)
        return self.last

    def take(self, output: Any) -> list[Tensor]:
        """Return keys and values of one timestep, after the network has added to them."""
        if self.last is None:
            self.last = find_cache(output)
            if self.last is not None:
                _check(self.last, None)
        return [] if self.last is None else list(_tensors(self.last))

    def add(self, kept: list[Tensor]) -> None:
        """Keep what `take` returned for a chunk, with its axis of timesteps behind the batch."""
        self._grown.append(kept)

    def finish(self) -> Any:
        """Return the cache with keys and values of all timesteps; a given one is extended."""
        if self.last is None:
            return None
        grown = [torch.cat(chunks, dim=1) for chunks in zip(*self._grown, strict=True)]
        full = _copy(self.last, grown)
        if self.cache is None:
            return full
        self.cache.__dict__.update(full.__dict__)
        return self.cache


def find_cache(values: Any) -> Any | None:
    """Return the cache among arguments or in an output; None if there is none."""
    if isinstance(values, Mapping):
        values = list(values.values())
    if isinstance(values, tuple | list):
        return next((value for value in values if is_cache(value)), None)
    return None


def is_cache(value: Any) -> bool:
    """Whether a value is one of the caches of `transformers`."""
    module = sys.modules.get("transformers.cache_utils")
    kinds = () if module is None else (module.Cache, module.EncoderDecoderCache)
    return isinstance(value, kinds)


def replace_cache(values: Any, cache: Any) -> Any:
    """Return arguments with another cache in the place of theirs."""
    return tree_map(lambda value: cache if is_cache(value) else value, values, is_leaf=is_cache)


def _parts(cache: Any) -> list[Any]:
    """The caches that a cache is made of: two for an encoder and a decoder."""
    if hasattr(cache, "self_attention_cache"):
        return [cache.self_attention_cache, cache.cross_attention_cache]
    return [cache]


def _layers(cache: Any) -> Iterator[Any]:
    for part in _parts(cache):
        yield from part.layers


def _tensors(cache: Any) -> Iterator[Tensor]:
    for layer in _layers(cache):
        if layer.is_initialized:
            yield from (layer.keys, layer.values)


def _copy(cache: Any, tensors: list[Tensor]) -> Any:
    """Return a cache of the same kind and length that holds these tensors."""
    copied, rest = copy.copy(cache), iter(tensors)
    parts = _parts(copied)
    if len(parts) == 2:
        copied.is_updated = dict(cache.is_updated)
        parts = [copy.copy(part) for part in parts]
        copied.self_attention_cache, copied.cross_attention_cache = parts
    for part in parts:
        part.layers = [copy.copy(layer) for layer in part.layers]
        for layer in part.layers:
            if layer.is_initialized:
                layer.keys, layer.values = next(rest), next(rest)
    return copied


def _check(cache: Any, timesteps: int | None) -> None:
    strange = [type(layer).__name__ for layer in _layers(cache)]
    strange = [name for name in strange if name not in LAYERS]
    kinds = [part.layer_class_to_replicate for part in _parts(cache)]
    strange += [kind.__name__ for kind in kinds if kind and kind.__name__ not in LAYERS]
    if strange or any(part.offloading for part in _parts(cache)):
        raise ConversionError(
            f"A converted network keeps keys and values per timestep in a DynamicCache, but got a "
            f"{type(cache).__name__}{f' of {strange[0]}' if strange else ' that offloads'}. Leave "
            "the cache out, or pass transformers.DynamicCache(config=model.config)."
        )
    if any(getattr(layer, "record_past", False) for layer in _layers(cache)):
        raise ConversionError(
            "A converted network cannot take back tokens of a sliding window, as assisted "
            "generation does. Generate without an assistant."
        )
    for tensor in [] if timesteps is None else _tensors(cache):
        if tensor.ndim != 5 or tensor.shape[1] != timesteps:
            held = f"those of {tensor.shape[1]}" if tensor.ndim == 5 else "none"
            raise ConversionError(
                f"Expected a cache with keys and values of {timesteps} timesteps, but got one with "
                f"{held}. Start with an empty cache: what the original network or another number "
                "of timesteps has filled does not fit."
            )
