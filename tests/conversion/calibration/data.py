"""A small network and its data, which all tests of calibration share."""

from __future__ import annotations

import torch
from torch.utils.data import DataLoader, TensorDataset

from spikeformer.conversion import ConversionPipeline

X = torch.randn(256, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.zeros(256, dtype=torch.long)


def loader(x=X, batch_size=64):
    return DataLoader(TensorDataset(x, LABELS[: len(x)]), batch_size=batch_size)


def quick(**options):
    return ConversionPipeline(loader(), progress=False, **options)
