from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from spikeformer.data import ImageDataModule
from spikeformer.data.decode import DecodedBatches
from spikeformer.error_handling import ArgumentError, DataError, MissingDependencyError


def loaded(**options):
    data = ImageDataModule(**options)
    data.setup()
    return data


def test_pixels_are_those_of_the_files(image_parquet, cache):
    data = loaded(path=str(image_parquet()), image_size=(8, 8), num_classes=3, cache_dir=cache)
    images, labels = data.splits.test.__getitems__(range(30))
    expected = np.random.default_rng(0)
    expected.integers(0, 256, (30, 8, 8, 3), np.uint8)  # the training split came first
    pixels = expected.integers(0, 256, (30, 8, 8, 3), np.uint8)
    assert torch.equal(images, torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255.0)
    assert labels.tolist() == [0] * 10 + [1] * 10 + [2] * 10
    assert data.class_names == ["class 0", "class 1", "class 2"]


@pytest.mark.parametrize(("stored", "wanted"), [(3, 1), (1, 3), (1, 1)])
def test_channels_and_size_as_asked(image_parquet, cache, stored, wanted):
    path = str(image_parquet(channels=stored))
    data = loaded(path=path, image_size=(6, 12), in_channels=wanted, cache_dir=cache)
    images, _ = next(iter(data.train_dataloader()))
    assert images.shape[1:] == (wanted, 6, 12)
    assert 0 <= images.min() < images.max() <= 1


def test_images_too_many_for_memory_are_decoded_by_batch(image_parquet, cache):
    options = {"path": str(image_parquet()), "image_size": (8, 8), "cache_dir": cache}
    inside = loaded(**options)
    outside = loaded(**options, memory_limit_gib=1e-9)
    assert isinstance(outside.splits.train, DecodedBatches)
    for (a, y), (b, z) in zip(inside.train_dataloader(), outside.train_dataloader(), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(y, z)


def test_image_folder(tmp_path, cache):
    for number in range(12):
        for name, colour in (("cats", 0), ("dogs", 255)):
            file = tmp_path / "pets" / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 10), (colour,) * 3).save(file)
    data = loaded(path=str(tmp_path / "pets"), num_classes=2, image_size=(4, 4), cache_dir=cache)
    assert data.class_names == ["cats", "dogs"]
    for part in (data.splits.train, data.splits.val, data.splits.test):
        images, labels = part.__getitems__(range(len(part)))
        assert torch.equal(images.mean((1, 2, 3)), labels.float())


def test_damaged_image_is_named(tmp_path, cache):
    for number in range(4):
        for name in ("cats", "dogs"):
            file = tmp_path / "pets" / "train" / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(file)
    bad = tmp_path / "pets" / "train" / "dogs" / "3.png"
    bad.write_bytes(bad.read_bytes()[:40])
    data = ImageDataModule(path=str(tmp_path / "pets"), image_size=(4, 4), cache_dir=cache)
    with pytest.raises(DataError, match=r"image \d+ of the \w+ split .*dogs.3\.png.*decoded"):
        data.setup()


@pytest.mark.parametrize(
    ("key", "message"),
    [("photo", r"data\.image_key='photo' is not a column"), ("label", "not encoded image files")],
)
def test_wrong_image_column(image_parquet, cache, key, message):
    data = ImageDataModule(path=str(image_parquet()), image_key=key, cache_dir=cache)
    with pytest.raises(DataError, match=message):
        data.setup()


def test_training_mixes_validation_does_not(image_parquet, cache, recorder, trainer):
    data = ImageDataModule(
        path=str(image_parquet()), image_size=(8, 8), mixup=0.5, cutmix=0.5, cache_dir=cache
    )
    model = recorder(3 * 64, 3)
    trainer(max_epochs=1).fit(model, datamodule=data)
    targets = torch.cat([target for _, target in model.seen[0]])
    assert targets.shape == (27, 3)
    assert torch.allclose(targets.sum(1), torch.ones(27))
    assert torch.equal(model.validated[-1], data.splits.val.__getitems__(range(3))[0])


def test_mixing_ends_after_its_epochs(image_parquet, cache, recorder, trainer):
    data = ImageDataModule(
        path=str(image_parquet()), image_size=(8, 8), mixup=1.0, mix_epochs=1, cache_dir=cache
    )
    model = recorder(3 * 64, 3)
    trainer(max_epochs=2).fit(model, datamodule=data)
    first, second = (
        torch.cat([target for _, target in seen]) for seen in (model.seen[0], model.seen[1])
    )
    assert (first.max(1).values < 1).any()
    assert torch.equal(second.max(1).values, torch.ones(27))


def test_missing_kornia_shows_before_anything_is_decoded(image_parquet, cache, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "kornia.augmentation", None)
    data = ImageDataModule(path=str(image_parquet()), crop_padding=1, cache_dir=cache)
    with pytest.raises(MissingDependencyError, match="kornia"):
        data.setup()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"image_size": [32]}, "image_size"),
        ({"image_size": [0, 3]}, "image_size"),
        ({"in_channels": 2}, "in_channels"),
        ({"crop_padding": -1}, "crop_padding"),
        ({"crop_scale": 0.0}, "crop_scale"),
        ({"mixup": 1.5}, "mixup"),
        ({"mixup_alpha": 0.0}, "mixup_alpha"),
        ({"mix_epochs": 0}, "mix_epochs"),
        ({"mixup": 0.6, "cutmix": 0.6}, "cutmix"),
        ({"memory_limit_gib": 0}, "memory_limit_gib"),
    ],
)
def test_values_outside_their_range(wrong, named):
    with pytest.raises(ArgumentError, match=named):
        ImageDataModule(path="x", **wrong)


def test_cifar10(shared_set, cache):
    data = loaded(
        path=shared_set("cifar10"),
        num_classes=10,
        limit_train=500,
        limit_test=200,
        crop_padding=4,
        cache_dir=cache,
    )
    images, labels = next(iter(data.train_dataloader()))
    assert images.shape == (64, 3, 32, 32)
    assert data.class_names[:2] == ["airplane", "automobile"]
    assert torch.equal(torch.bincount(data.splits.train.targets), torch.full((10,), 45))
    assert torch.equal(torch.bincount(data.splits.test.targets), torch.full((10,), 20))
    assert 0.4 < images.mean() < 0.55
    assert labels.dtype == torch.int64
