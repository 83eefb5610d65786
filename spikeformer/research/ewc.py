"""Elastic weight consolidation, for any network."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from spikeformer.error_handling import ArgumentError, check_interval
from spikeformer.research.fisher import Criterion, empirical_fisher, flatten, num_trainable


class ElasticWeightConsolidation(nn.Module):
    r"""Holds parameters near the values of earlier tasks, the more the more those tasks need them.

    After task k, with F_k its empirical Fisher information (`empirical_fisher`) and theta_k the
    parameters it ended with::

        F     <- decay * F + F_k,    anchor <- theta_k
        penalty = strength / 2 * sum_j F_j (theta_j - anchor_j)^2

    This is the online form: its memory does not grow with the number of tasks. It is no part of
    the network, which is handed to each call; its buffers `importance`, `anchor` and `num_tasks`
    make its `state_dict`.

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
            ArgumentError: The model has other parameters than at construction.
            DataError: The loader has no samples.
        """
        self._check(model)
        fisher = empirical_fisher(model, dataloader, criterion, max_samples, progress=progress)
        self.importance.mul_(self.decay).add_(fisher)
        self.anchor.copy_(flatten(model).detach())
        self.num_tasks.add_(1)

    def penalty(self, model: nn.Module) -> Tensor:
        """Return what to add to the loss, a scalar; 0 before the first task is consolidated."""
        self._check(model)
        weights = flatten(model)
        moved = weights - self.anchor.to(weights.dtype)
        return 0.5 * self.strength * torch.dot(self.importance.to(moved.dtype), moved.square())

    def _check(self, model: nn.Module) -> None:
        if (size := num_trainable(model)) != self.importance.numel():
            raise ArgumentError(
                "model",
                f"one with {size:,}",
                f"a network with {self.importance.numel():,} trainable parameters",
                "Make a new ElasticWeightConsolidation after the network has changed.",
            )

    def extra_repr(self) -> str:
        """Return the settings that matter when reading a printed model."""
        return f"strength={self.strength}, decay={self.decay}"
