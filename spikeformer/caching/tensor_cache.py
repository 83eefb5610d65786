"""A cache of tensors."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from spikeformer.caching.cache import Cache
from spikeformer.error_handling import ArgumentError


class TensorCache(Cache):
    """A `Cache` whose values are single tensors, dense and of any type.

    Example:
        >>> import torch
        >>> cache = TensorCache(memory_mib=1)
        >>> cache.put_tensor("spikes", torch.ones(2))
        >>> cache.get_tensor("spikes"), cache.get_tensor("other")
        (tensor([1., 1.]), None)
    """

    def put_tensor(self, key: str, tensor: Tensor, *, ttl: float | None = None) -> None:
        """Keep a copy of a tensor, for `ttl` s or until others need the place.

        Raises:
            ArgumentError: It is no tensor, not dense, or not detached.
        """
        if not isinstance(tensor, Tensor):
            raise ArgumentError("tensor", type(tensor).__name__, "a torch.Tensor")
        self.put(key, tensor, ttl=ttl)

    def get_tensor(self, key: str) -> Tensor | None:
        """Return a copy of the tensor under `key`, or None."""
        value = self.get(key)
        return value if isinstance(value, Tensor) else None

    def tensor_or_compute(self, key: str, compute: Callable[[], Tensor]) -> Tensor:
        """Return the tensor under `key`; compute and keep it if there is none."""
        return self.get_or_compute(key, compute)
