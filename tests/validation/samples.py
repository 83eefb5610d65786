"""Inputs and classes for the checks of data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from spikeformer.encoding import RateCoding
from spikeformer.models import ClassificationHead, SpikingNetwork, SpikingTransformer
from spikeformer.validation import ValidationResult
from tests.validation.networks import vit

LEVELS = ["basic", "standard", "strict", "comprehensive"]
IMAGES = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(64) % 4
IDS = torch.arange(12).view(3, 4)


def changed(index: Any, value: Any) -> Tensor:
    """Return the images with other values at an index."""
    images = IMAGES.clone()
    images[index] = value
    return images


def rate_coded() -> SpikingNetwork:
    """Return a network whose encoder takes values from 0 to 1."""
    return vit(encoding=RateCoding(4))


def text() -> SpikingNetwork:
    """Return a network that takes tokens."""
    backbone = SpikingTransformer(50, d_model=16, nhead=2, num_layers=1, timesteps=2)
    return SpikingNetwork(backbone, ClassificationHead(16, 2))


def hits(
    results: Iterable[ValidationResult], severity: str, message: str
) -> list[ValidationResult]:
    """Return the findings of a severity that say something."""
    return [r for r in results if r.level.value == severity and message in r.message]
