"""Digits before the simulated camera."""

from __future__ import annotations

import pytest
import torch

from spikeformer.data import DigitsDataModule, DigitsDvsDataModule
from spikeformer.error_handling import ArgumentError
from tests.data.events.test_datamodule import few, module  # noqa: F401  a fixture


def test_batches_are_counts_with_the_classes_of_the_images(few):  # noqa: F811
    data = module(batch_size=8)
    events, labels = next(iter(data.test_dataloader()))
    assert (events.shape, events.dtype) == ((8, 4, 2, 12, 12), torch.float32)
    assert torch.equal(events, events.round())
    assert events.flatten(1).sum(dim=1).min() > 100
    images = DigitsDataModule()
    images.setup()
    assert torch.equal(labels, images.splits.test.targets[:8])
    assert data.num_classes == 10
    assert [len(s) for s in (data.splits.train, data.splits.val, data.splits.test)] == [20] * 3


def test_the_sensor_is_a_square():
    with pytest.raises(ArgumentError, match="square"):
        DigitsDvsDataModule(image_size=(12, 16))
