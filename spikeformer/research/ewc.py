"""Elastic weight consolidation, for any network."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from spikeformer.error_handling import ArgumentError, check_interval
from spikeformer.research.fisher import (
    Criterion,
    empirical_fisher,
    flatten,
    num_trainable,
    trainable,
)


class ElasticWeightConsolidation(nn.Module):
    r"""Holds parameters near the values of earlier tasks, the more the more those tasks need them.

    After task k, with F_k its empirical Fisher information (`empirical_fisher`) and theta_k the
    parameters it ended with::

        F     <- decay * F + F_k,    anchor <- theta_k
        penalty = strength / 2 * sum_j F_j (theta_j - anchor_j)^2

    This is the online form: its memory does not grow with the number of tasks. It is no part of
    the network, which is handed to each call; its buffers `importance`, `anchor` and `num_tasks`,
    and the names and shapes of the parameters, make its `state_dict`.

    A network may grow between tasks: new parameters, and new rows or columns behind the old ones of
    a parameter (a head with more classes), begin without importance, and the old ones keep theirs.

    Args:
        model: The network whose trainable parameters are to be held.
        strength: lambda, the weight of the penalty; at least 0.
        decay: gamma, how much of the importance of earlier tasks a new one leaves, in [0, 1].

    Source: Kirkpatrick et al., PNAS 2017, doi:10.1073/pnas.1611835114; online form: Schwarz et al.,
    *Progress & Compress*, ICML 2018, arXiv:1805.06370.

    Example:
        >>> model = nn.Linear(3, 2)
        >>> ewc = ElasticWeightConsolidation(model, strength=10.0)
        >>> batches = [(torch.randn(4, 3), torch.tensor([0, 1, 1, 0]))]
        >>> ewc.consolidate(model, batches, nn.functional.cross_entropy)
        >>> ewc.penalty(model).item()
        0.0
        >>> with torch.no_grad():
        ...     _ = model.weight.add_(1.0)
        >>> bool(ewc.penalty(model) > 0)
        True
    """

    importance: Tensor
    anchor: Tensor
    num_tasks: Tensor

    def __init__(self, model: nn.Module, strength: float = 1.0, decay: float = 1.0) -> None:
        super().__init__()
        self.strength = check_interval("strength", strength, 0.0, math.inf)
        self.decay = check_interval("decay", decay, 0.0, 1.0)
        self._layout = _layout(model)
        size = num_trainable(model)
        self.register_buffer("importance", torch.zeros(size))
        self.register_buffer("anchor", torch.zeros(size))
        self.register_buffer("num_tasks", torch.tensor(0))

    def consolidate(
        self,
        model: nn.Module,
        dataloader: Iterable[Any],
        criterion: Criterion,
        max_samples: int | None = None,
        *,
        progress: bool = False,
    ) -> None:
        """Take the task that the model has just learned among those to be remembered.

        Args:
            model: The network, with the parameters that the task ended with.
            dataloader: Yields `(inputs, target)` of the task.
            criterion: `criterion(outputs, target)`, the loss it was learned with.
            max_samples: Samples from which importance is estimated; None takes all.
            progress: Show a progress bar.

        Raises:
            ArgumentError: The model lacks parameters that are remembered.
            DataError: The loader has no samples.
        """
        self._grow(model)
        fisher = empirical_fisher(model, dataloader, criterion, max_samples, progress=progress)
        self.importance.mul_(self.decay).add_(fisher)
        self.anchor.copy_(flatten(model).detach())
        self.num_tasks.add_(1)

    def penalty(self, model: nn.Module) -> Tensor:
        """Return what to add to the loss, a scalar; 0 before the first task is consolidated."""
        self._grow(model)
        weights = flatten(model)
        moved = weights - self.anchor.to(weights.dtype)
        return 0.5 * self.strength * torch.dot(self.importance.to(moved.dtype), moved.square())

    def get_extra_state(self) -> dict[str, list[int]]:
        """Return the shape of each parameter by its name."""
        return {name: list(shape) for name, shape in self._layout.items()}

    def set_extra_state(self, state: dict[str, list[int]]) -> None:
        """Take up the parameters of the state that is loaded."""
        self._layout = {name: tuple(shape) for name, shape in state.items()}

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *rest: Any, **options: Any
    ) -> None:
        """Take a state of a network that has grown or has yet to grow."""
        for name in ("importance", "anchor"):
            if (saved := state_dict.get(prefix + name)) is not None:
                buffer = getattr(self, name)
                setattr(self, name, buffer.new_zeros(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *rest, **options)

    @torch.no_grad()
    def _grow(self, model: nn.Module) -> None:
        """Lay out what is remembered as the parameters of a network are."""
        layout = _layout(model)
        if layout == self._layout:
            return
        if self.num_tasks:
            for name, before in self._layout.items():
                _check_grown(name, before, layout.get(name))
        importance = torch.zeros(num_trainable(model)).to(self.importance)
        anchor = flatten(model).to(self.anchor)
        for old, new in ((self.importance, importance), (self.anchor, anchor)):
            places = _views(new, layout)
            for name, part in _views(old, self._layout).items() if self.num_tasks else ():
                places[name][tuple(slice(size) for size in part.shape)] = part
        self.importance, self.anchor, self._layout = importance, anchor, layout

    def extra_repr(self) -> str:
        """Return the settings that matter when reading a printed model."""
        return f"strength={self.strength}, decay={self.decay}"


Layout = dict[str, tuple[int, ...]]


def _layout(model: nn.Module) -> Layout:
    trained = {id(parameter) for parameter in trainable(model)}
    return {name: tuple(p.shape) for name, p in model.named_parameters() if id(p) in trained}


def _views(flat: Tensor, layout: Layout) -> dict[str, Tensor]:
    parts = torch.split(flat, [math.prod(shape) for shape in layout.values()])
    return {
        name: part.view(shape) for (name, shape), part in zip(layout.items(), parts, strict=True)
    }


def _check_grown(name: str, before: tuple[int, ...], now: tuple[int, ...] | None) -> None:
    grown = now is not None and len(now) == len(before)
    if not grown or any(a < b for a, b in zip(now or (), before, strict=True)):
        raise ArgumentError(
            "model",
            "one without it" if now is None else f"one where it has shape {now}",
            f"a network with the trainable parameter {name!r} of shape {before} or larger",
            "Make a new ElasticWeightConsolidation for another network.",
        )
