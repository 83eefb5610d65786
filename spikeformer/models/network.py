"""A backbone and a head, as one network."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class SpikingNetwork(nn.Module):
    """Chains a backbone and a head, handing the padding mask to both.

    Args:
        backbone: Maps inputs to features (batch, timesteps, tokens, d_model).
        head: Maps features to outputs (batch, timesteps, ...).

    Example:
        >>> import torch
        >>> from spikeformer.models import ClassificationHead, SpikingViT
        >>> backbone = SpikingViT(1, 8, d_model=16, nhead=2, num_layers=1, stem_strides=[1, 2])
        >>> net = SpikingNetwork(backbone, ClassificationHead(16, num_classes=10))
        >>> net(torch.rand(2, 1, 8, 8)).shape
        torch.Size([2, 4, 10])
    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, *inputs: Tensor, mask: Tensor | None = None, **kwargs: Any) -> Tensor:
        """Return outputs for every timestep, shape (batch, timesteps, ...).

        Args:
            *inputs: The backbone's inputs.
            mask: True at real tokens, shape (batch, tokens); None if there is no padding.
            **kwargs: The backbone's further inputs, by name.
        """
        if mask is None:
            outputs: Tensor = self.head(self.backbone(*inputs, **kwargs))
        else:
            outputs = self.head(self.backbone(*inputs, mask=mask, **kwargs), mask=mask)
        return outputs
