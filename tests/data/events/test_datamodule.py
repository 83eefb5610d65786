"""What all modules of events share, shown by the digits."""

from __future__ import annotations

import pytest
import torch

from spikeformer.caching import TensorCache
from spikeformer.data import DigitsDataModule, DigitsDvsDataModule
from spikeformer.data.events import digits
from spikeformer.error_handling import ArgumentError, DataError

RECORDED: list[int] = []
RECORD = digits.record_saccades


def counted(images, **options):
    RECORDED.append(len(images))
    return RECORD(images, **options)


@pytest.fixture
def few(monkeypatch):
    """Let the digits be few, and count how often the camera records them."""
    whole = DigitsDataModule.load

    def load(self):
        splits = whole(self)
        for part in (splits.train, splits.val, splits.test):
            part.inputs, part.targets = part.inputs[:20], part.targets[:20]
        return splits

    RECORDED.clear()
    monkeypatch.setattr(DigitsDataModule, "load", load)
    monkeypatch.setattr(digits, "record_saccades", counted)
    return RECORDED


def module(**options) -> DigitsDvsDataModule:
    data = DigitsDvsDataModule(**{"timesteps": 4, "image_size": (12, 12), **options})
    data.setup()
    return data


def test_frames_are_kept_by_representation(few):
    cache = TensorCache(memory_mib=8)

    def frames(**options):
        data = DigitsDvsDataModule(timesteps=2, image_size=(12, 12), **options)
        data.cache = cache
        data.setup()
        return data.splits.train.inputs

    first = frames()
    assert torch.equal(frames(), first)
    assert few == [60]
    frames(representation="count")
    frames(contrast=0.5)
    assert few == [60] * 3


def test_one_channel(few):
    data = module(representation="voxel", in_channels=1)
    assert data.splits.test.inputs.dtype == torch.float32
    assert data.splits.test.inputs.shape[1:] == (4, 1, 12, 12)


def test_training_batches_are_augmented_from_their_generator(few):
    data = module(max_shift=2, time_cutmix=1.0)
    batch = next(iter(data.train_dataloader()))
    one, two = (data.augment(batch, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one[0], two[0])
    assert not torch.equal(one[0], batch[0])
    assert one[1].shape == (20, 10)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"image_size": (12,)}, ArgumentError),
        ({"in_channels": 3}, ArgumentError),
        ({"num_classes": 9}, DataError),
        ({"num_classes": 0}, ArgumentError),
        ({"representation": "film"}, ArgumentError),
        ({"drop": 2.0}, ArgumentError),
    ],
)
def test_wrong_arguments_are_refused(options, error):
    with pytest.raises(error):
        DigitsDvsDataModule(**options)
