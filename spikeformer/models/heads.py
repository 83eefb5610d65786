"""Heads: from a backbone's features to what a task wants, one output for every timestep.

Features are (batch, timesteps, tokens, d_model). A loss decides how the timesteps are read; for
prediction they are averaged.
"""

from __future__ import annotations

from torch import Tensor, nn

from spikeformer.config import Described
from spikeformer.error_handling import check_interval, check_positive, check_positive_int


class PooledHead(Described, nn.Module):
    """Mean over real tokens, then a dense layer."""

    def __init__(
        self, d_model: int, num_outputs: int, dropout: float = 0.0, gain: float = 1.0
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(check_interval("dropout", dropout, 0.0, 1.0))
        self.readout = nn.Linear(d_model, num_outputs)
        self.readout.weight.data.mul_(check_positive("gain", gain))

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Read out features.

        Args:
            features: Shape (batch, timesteps, tokens, d_model).
            mask: True at real tokens, shape (batch, tokens); None if all are.

        Returns:
            Shape (batch, timesteps, outputs).
        """
        if mask is None:
            pooled = features.mean(dim=2)
        else:
            weight = mask.to(features.dtype)
            weight = weight / weight.sum(dim=1, keepdim=True).clamp(min=1)
            pooled = (features * weight[:, None, :, None]).sum(dim=2)
        outputs: Tensor = self.readout(self.dropout(pooled))
        return outputs


class ClassificationHead(PooledHead):
    """One logit per class; for exactly one right class.

    Args:
        d_model: Channels of a token.
        num_classes: Number of classes.
        dropout: Probability of dropping a pooled feature while training.
        gain: Factor of the initial weights. Above 1 for spikes, whose mean rates are so small that
            all outputs begin close to 0.
    """

    def __init__(
        self, d_model: int, num_classes: int, dropout: float = 0.0, gain: float = 1.0
    ) -> None:
        super().__init__(d_model, check_positive_int("num_classes", num_classes), dropout, gain)


class MultiLabelHead(PooledHead):
    """One logit per label; any number of labels may be right.

    Args:
        d_model: Channels of a token.
        num_labels: Number of labels.
        dropout: Probability of dropping a pooled feature while training.
        gain: Factor of the initial weights. Above 1 for spikes, whose mean rates are so small that
            all outputs begin close to 0.
    """

    def __init__(
        self, d_model: int, num_labels: int, dropout: float = 0.0, gain: float = 1.0
    ) -> None:
        super().__init__(d_model, check_positive_int("num_labels", num_labels), dropout, gain)


class RegressionHead(PooledHead):
    """One value per target dimension.

    Args:
        d_model: Channels of a token.
        num_targets: Number of values to predict.
        dropout: Probability of dropping a pooled feature while training.
        gain: Factor of the initial weights. Above 1 for spikes, whose mean rates are so small that
            all outputs begin close to 0.
    """

    def __init__(
        self, d_model: int, num_targets: int = 1, dropout: float = 0.0, gain: float = 1.0
    ) -> None:
        super().__init__(d_model, check_positive_int("num_targets", num_targets), dropout, gain)


class CausalLMHead(Described, nn.Module):
    """One logit per vocabulary entry at every token; for a backbone with `causal=True`.

    Args:
        d_model: Channels of a token.
        vocab_size: Size of the vocabulary.
    """

    def __init__(self, d_model: int, vocab_size: int) -> None:
        super().__init__()
        self.readout = nn.Linear(d_model, check_positive_int("vocab_size", vocab_size), bias=False)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map (batch, timesteps, tokens, d_model) to (batch, timesteps, tokens, vocab_size)."""
        outputs: Tensor = self.readout(features)
        return outputs
