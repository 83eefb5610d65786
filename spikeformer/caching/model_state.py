"""States of a model, kept to return to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from spikeformer.caching.cache import Cache
from spikeformer.caching.keys import content_key
from spikeformer.error_handling import ArgumentError


class ModelStateCache:
    """Keeps states of models: parameters and buffers, as plain tensors.

    For files that last use checkpoints: here the least recently used states go when the budget
    is spent.

    Args:
        memory_mib: Budget in memory in MiB.
        folder: Folder on disk; None keeps the states in memory alone.
        disk_gib: Budget on disk in GiB.

    Raises:
        ArgumentError: A budget is negative.
        ConfigurationError: The folder cannot be used.

    Example:
        >>> import torch
        >>> model, states = nn.Linear(2, 1), ModelStateCache()
        >>> key = states.cache_model_state(model, epoch=3, step=120)
        >>> _ = nn.init.zeros_(model.weight)
        >>> states.restore_model_state(model, key), bool(model.weight.any())
        (True, True)
        >>> states.restore_model_state(model, "epoch9-step9-unknown")
        False
    """

    def __init__(
        self,
        *,
        memory_mib: float = 1024.0,
        folder: str | Path | None = None,
        disk_gib: float = 4.0,
    ) -> None:
        self.cache = Cache(memory_mib=memory_mib, folder=folder, disk_gib=disk_gib)

    def cache_model_state(self, model: nn.Module, epoch: int, step: int) -> str:
        """Keep a model's state.

        Args:
            model: The model.
            epoch: The epoch it is in, a part of the key.
            step: The step it has taken, likewise.

        Returns:
            The key: the same state, epoch and step give the same one.

        Raises:
            ArgumentError: The state holds something else than tensors and plain data.
        """
        state = dict(model.state_dict())
        key = f"epoch{epoch}-step{step}-{content_key(state)[:16]}"
        self.cache.put(key, state)
        return key

    def restore_model_state(self, model: nn.Module, key: str) -> bool:
        """Bring a model back to a state, all of it or nothing.

        Args:
            model: A model with the same parameters and buffers.
            key: What `cache_model_state` returned.

        Returns:
            Whether the state was still there.

        Raises:
            ArgumentError: The model has other parameters or buffers than the state.
        """
        state = self.cache.get(key)
        if state is None:
            return False
        _check_fits(model, state)
        model.load_state_dict(state)
        return True


def _check_fits(model: nn.Module, state: dict[str, Any]) -> None:
    """Refuse before anything is changed: `load_state_dict` copies what fits and then complains."""
    own, kept = ({k: _shape(v) for k, v in d.items()} for d in (model.state_dict(), state))
    if own != kept:
        name = min(k for k in own.keys() | kept.keys() if own.get(k) != kept.get(k))
        absent = "absent"
        shapes = {"own": own.get(name, absent), "kept": kept.get(name, absent)}
        expected = (
            f"the model whose state was kept ({name!r} is {shapes['own']} here and "
            f"{shapes['kept']} in the state)"
        )
        raise ArgumentError("model", type(model).__name__, expected)


def _shape(value: Any) -> tuple[int, ...] | str:
    return tuple(value.shape) if isinstance(value, Tensor) else "no tensor"
