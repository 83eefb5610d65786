"""A spiking transformer for continual learning."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from spikeformer.error_handling import ConfigurationError
from spikeformer.models import SpikingTransformer, TokenMemory
from spikeformer.research.ewc import ElasticWeightConsolidation
from spikeformer.research.fisher import Criterion


class LifetimeLearningSpikingTransformer(SpikingTransformer):
    """Spiking transformer with elastic weight consolidation built in.

    For each task: `begin_new_task()`, train with `ewc_loss()` added to the loss, then
    `estimate_parameter_importance(...)`. All that is remembered of earlier tasks lies in the
    model's `state_dict`, so a checkpoint carries it. Images take the same way with
    `ElasticWeightConsolidation` beside a `SpikingViT`.

    Args:
        *args: The arguments of `SpikingTransformer`.
        head: Maps features (batch, timesteps, seq_len, d_model) and, where there is one, a
            keyword argument `mask` to outputs: any head of `spikeformer.models`. None leaves the
            features as they are.
        ewc_strength: lambda of `ElasticWeightConsolidation`.
        ewc_decay: gamma of `ElasticWeightConsolidation`.
        **kwargs: The keyword arguments of `SpikingTransformer`.

    Source: see `ElasticWeightConsolidation`.

    Example:
        >>> from spikeformer.models import ClassificationHead
        >>> from spikeformer.training import get_loss
        >>> model = LifetimeLearningSpikingTransformer(
        ...     50, d_model=16, nhead=2, num_layers=1, timesteps=2, head=ClassificationHead(16, 3)
        ... )
        >>> tasks = [[(torch.randint(50, (8, 5)), torch.randint(3, (8,)))] for _ in range(2)]
        >>> criterion = get_loss("cross_entropy")
        >>> optimizer = torch.optim.AdamW(model.parameters())
        >>> for loader in tasks:
        ...     model.begin_new_task()
        ...     for tokens, target in loader:
        ...         optimizer.zero_grad()
        ...         loss = criterion(model(tokens), target) + model.ewc_loss()
        ...         loss.backward()
        ...         _ = optimizer.step()
        ...     model.estimate_parameter_importance(loader, criterion)
    """

    task: Tensor
    consolidated_task: Tensor

    def __init__(
        self,
        *args: Any,
        head: nn.Module | None = None,
        ewc_strength: float = 1000.0,
        ewc_decay: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.head = head
        self.ewc = ElasticWeightConsolidation(self, ewc_strength, ewc_decay)
        self.register_buffer("task", torch.tensor(0))
        self.register_buffer("consolidated_task", torch.tensor(0))

    def forward(
        self,
        input_ids: Tensor,
        mask: Tensor | None = None,
        memory: TokenMemory | None = None,
    ) -> Tensor:
        """Return the head's outputs, or the features where there is no head.

        Args:
            input_ids: Integers in [0, vocab_size), shape (batch, seq_len).
            mask: True at real tokens, shape (batch, seq_len); None if all are.
            memory: The tokens before these, where a text goes on.
        """
        features = super().forward(input_ids, mask, memory)
        if self.head is None:
            return features
        outputs: Tensor = self.head(features) if mask is None else self.head(features, mask=mask)
        return outputs

    def begin_new_task(self) -> None:
        """Tell the model that what comes now is another task."""
        self.task.add_(1)

    def estimate_parameter_importance(
        self, dataloader: Iterable[Any], criterion: Criterion
    ) -> None:
        """Find out what the current task, just learned, needs, and remember it from now on.

        Args:
            dataloader: Yields `(inputs, target)` of the task; inputs are token ids, or a mapping
                with `input_ids` and `mask`.
            criterion: `criterion(outputs, target)`, the loss it was learned with.

        Raises:
            ConfigurationError: No task has begun, or the current one is remembered already.
            DataError: The loader has no samples.
        """
        if not int(self.task):
            raise ConfigurationError(
                "There is no task whose importance could be estimated: call begin_new_task() "
                "before training on it."
            )
        if torch.equal(self.task, self.consolidated_task):
            raise ConfigurationError(
                f"The importance for task {int(self.task)} has been estimated: it would count "
                "twice. Call begin_new_task() before training on the next one."
            )
        self.ewc.consolidate(self, dataloader, criterion)
        self.consolidated_task.copy_(self.task)

    def ewc_loss(self) -> Tensor:
        """Return the penalty on moving away from earlier tasks, a scalar; 0 during the first."""
        return self.ewc.penalty(self)
