"""Late fusion: each modality is classified by itself, and the surer one counts more."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def confidence_weights(
    outputs: Tensor, temperature: float, present: Tensor | None = None
) -> Tensor:
    r"""Weigh modalities by how sure each is of its own prediction.

    With p_m the class probabilities of modality m (softmax of its logits averaged over time) and
    `H_m = -sum_c p_m[c] log p_m[c]` their entropy in nats::

        w_m = exp(-H_m / temperature) / sum_a exp(-H_a / temperature)

    A low temperature lets the surest modality decide, a high one takes the plain average.

    Args:
        outputs: Logits of each modality, shape (modalities, batch, timesteps, classes).
        temperature: Above 0, in nats.
        present: True where a sample has a modality, shape (modalities, batch); None if all do.

    Returns:
        Weights that sum to 1 over the modalities of a sample, shape (modalities, batch).

    Example:
        >>> sure, unsure = torch.tensor([[[9.0, 0.0]]]), torch.tensor([[[0.1, 0.0]]])
        >>> confidence_weights(torch.stack([sure, unsure]), 0.01).round().flatten().tolist()
        [1.0, 0.0]
    """
    log_p = outputs.mean(dim=2).log_softmax(dim=-1)
    entropy = -(log_p.exp() * log_p).sum(dim=-1)
    score = -entropy / temperature
    if present is not None:
        score = score.masked_fill(~present, -torch.inf)
    return score.softmax(dim=0)


class ConfidenceAverage(nn.Module):
    """Averages the outputs of several modalities by `confidence_weights`.

    Args:
        temperature: Above 0, in nats.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, outputs: Tensor, present: Tensor | None = None) -> Tensor:
        """Map logits (modalities, batch, timesteps, classes) to (batch, timesteps, classes).

        Args:
            outputs: Logits of each modality.
            present: True where a sample has a modality, (modalities, batch); None if all do.
        """
        weights = confidence_weights(outputs, self.temperature, present)
        return (weights[:, :, None, None] * outputs).sum(dim=0)
