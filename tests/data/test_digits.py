from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from spikeformer.data import DigitsDataModule
from spikeformer.error_handling import ArgumentError, DataError


def parts(**options):
    data = DigitsDataModule(**options)
    data.setup()
    return data.splits


def test_splits_share_out_all_images_with_equal_class_shares():
    splits = parts()
    named = (splits.train, splits.val, splits.test)
    assert [len(part) for part in named] == [1293, 144, 360]
    together = torch.cat([part.inputs for part in named]).flatten(1)
    bunch = load_digits()
    assert sorted(map(tuple, (together * 16).tolist())) == sorted(map(tuple, bunch.data.tolist()))
    whole = np.bincount(bunch.target) / len(bunch.target)
    for part in named:
        share = torch.bincount(part.targets).numpy() / len(part)
        assert np.abs(share - whole).max() < 0.01


def test_shapes_types_and_range():
    data = DigitsDataModule(batch_size=32)
    data.setup()
    images, labels = next(iter(data.train_dataloader()))
    assert images.shape == (32, 1, 8, 8)
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert data.splits.train.inputs.min() == 0
    assert data.splits.train.inputs.max() == 1
    assert data.class_names == list("0123456789")
    assert data.num_classes == 10


def test_images_keep_their_labels():
    splits = parts()
    bunch = load_digits()
    known = {tuple(image): label for image, label in zip(bunch.data, bunch.target, strict=True)}
    rows = (splits.train.inputs * 16).flatten(1).tolist()
    assert all(
        known[tuple(row)] == label
        for row, label in zip(rows, splits.train.targets.tolist(), strict=True)
    )


def test_the_split_follows_its_own_seed():
    assert torch.equal(parts(seed=1).test.inputs, parts(seed=2).test.inputs)
    assert not torch.equal(parts(split_seed=1).test.inputs, parts(split_seed=2).test.inputs)


def test_same_seed_repeats_bit_for_bit():
    def batches(seed):
        data = DigitsDataModule(seed=seed)
        data.setup()
        return torch.cat([images for images, _ in data.train_dataloader()])

    assert torch.equal(batches(1), batches(1))
    assert not torch.equal(batches(1), batches(2))


def test_without_validation_all_of_the_pool_is_trained_on():
    splits = parts(val_fraction=0)
    assert splits.val is None
    assert len(splits.train) == 1437


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_classes": 9}, DataError, "set data.num_classes=10"),
        ({"image_size": [16, 16]}, DataError, r"set data.image_size=\[8, 8\]"),
        ({"in_channels": 3}, DataError, "set data.in_channels=1"),
        ({"max_shift": 8}, ArgumentError, "max_shift"),
        ({"val_fraction": 1.0}, ArgumentError, "val_fraction"),
        ({"test_fraction": 0.0}, ArgumentError, "test_fraction"),
        ({"split_seed": -1}, ArgumentError, "split_seed"),
    ],
)
def test_wrong_values_are_named(options, error, message):
    with pytest.raises(error, match=message):
        DigitsDataModule(**options)
