"""Crop, flip, RandAugment, erasing, mixup and cutmix."""

from __future__ import annotations

import pytest
import torch

from spikeformer.data.image_augmentation import ImageAugmentation


def augmentation(**changes):
    options = {"crop_padding": 0, "horizontal_flip": False, "mixup": 0.0, "cutmix": 0.0}
    options |= {"rand_augment": 0, "rand_magnitude": 0.9, "random_erasing": 0.0}
    return ImageAugmentation((8, 10), **{**options, **changes})


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_mixed_targets_are_the_shares_of_the_images(name):
    """Image i is the one-hot plane of its label, so its channel means are its true shares."""
    labels = torch.arange(40) % 5
    images = torch.eye(5)[labels][:, :, None, None].expand(40, 5, 8, 10).contiguous()
    mixed, targets = augmentation(**{name: 1.0})(images, labels, 5, generator())
    assert torch.allclose(targets.sum(1), torch.ones(40))
    assert torch.allclose(mixed.mean((2, 3)), targets, atol=1e-6)
    assert ((targets > 0).sum(1) == 2).any()
    if name == "cutmix":
        assert set(mixed.unique().tolist()) == {0.0, 1.0}


def test_half_of_the_batches_are_mixed_and_all_have_weights():
    images, labels = torch.rand(8, 3, 8, 10), torch.arange(8) % 4
    mix, untouched = augmentation(mixup=0.25, cutmix=0.25), 0
    for seed in range(200):
        mixed, targets = mix(images, labels, 4, generator(seed))
        assert targets.shape == (8, 4)
        assert targets.dtype == torch.float32
        if torch.equal(mixed, images):
            untouched += 1
            assert torch.equal(targets.argmax(1), labels)
    assert 70 <= untouched <= 130


def test_crop_moves_and_flip_mirrors():
    images = torch.rand(64, 1, 8, 10) + 0.1
    cropped, labels = augmentation(crop_padding=2)(images, torch.arange(64), 64, generator())
    assert cropped.shape == images.shape
    assert torch.equal(labels, torch.arange(64))
    known = torch.nn.functional.pad(images, (2, 2, 2, 2)).unfold(2, 8, 1).unfold(3, 10, 1)
    matches = (known == cropped[:, :, None, None]).all(dim=(1, 4, 5)).sum((1, 2))
    assert torch.equal(matches, torch.ones(64))
    flipped, _ = augmentation(horizontal_flip=True)(images, labels, 64, generator())
    mirrored = (flipped == images.flip(3)).all(dim=(1, 2, 3))
    kept = (flipped == images).all(dim=(1, 2, 3))
    assert torch.equal(mirrored, ~kept)
    assert 20 < mirrored.sum() < 44


def test_scaled_parts_have_at_least_their_share_of_the_image():
    ramp = torch.linspace(0, 1, 32)
    image = torch.stack([ramp.expand(32, 32), ramp[:, None].expand(32, 32), torch.ones(32, 32)])
    images = image.expand(64, -1, -1, -1)
    parts, _ = augmentation(crop_scale=0.3)(images, torch.arange(64), 64, generator())
    assert parts.shape == (64, 3, 8, 10)  # scaled to the size of the network
    widths, heights = (parts[:, c].amax((1, 2)) - parts[:, c].amin((1, 2)) for c in (0, 1))
    areas = widths * heights
    assert 0.25 < areas.min() < 0.5 < 0.8 < areas.max()
    assert 0.6 < (widths / heights).min() < (widths / heights).max() < 1.65


def test_augmentation_follows_its_generator_alone():
    images, labels = torch.rand(8, 3, 8, 10), torch.arange(8)
    mix = augmentation(crop_padding=1, horizontal_flip=True, mixup=1.0)
    torch.manual_seed(1)
    first, _ = mix(images, labels, 8, generator(3))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second, _ = mix(images, labels, 8, generator(3))
    assert torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(first, mix(images, labels, 8, generator(4))[0])


def test_rand_augment_repeats_with_its_seed_and_keeps_the_range():
    images, labels = torch.rand(6, 3, 8, 10), torch.arange(6)
    change, seen = augmentation(rand_augment=2), set()
    for seed in range(12):
        first, same = change(images, labels, 6, generator(seed))
        again, _ = change(images, labels, 6, generator(seed))
        assert torch.equal(first, again)
        assert torch.equal(same, labels)
        assert first.shape == images.shape
        assert first.min() >= -1e-6
        assert first.max() <= 1 + 1e-6
        seen.add(round(float((first - images).abs().mean()), 5))
    assert len(seen) > 6
    weak = augmentation(rand_augment=1, rand_magnitude=0.04)(images, labels, 6, generator(3))[0]
    assert not torch.equal(weak, change(images, labels, 6, generator(3))[0])


def test_erasing_blackens_one_rectangle_of_some_images():
    images = torch.rand(200, 1, 8, 10) + 0.1
    erased, _ = augmentation(random_erasing=0.25)(images, torch.zeros(200), 1, generator())
    black = erased == 0
    touched = black.flatten(1).any(1)
    assert 25 < touched.sum() < 80
    assert torch.equal(erased[~black], images[~black])
    for image in black[touched][:, 0]:
        rows, columns = image.any(1), image.any(0)
        assert image.sum() == rows.sum() * columns.sum()


def shares(name, alpha, count=2000):
    """What is left of each of many images of two classes."""
    labels = torch.arange(count) % 2
    images = torch.eye(2)[labels][:, :, None, None].expand(count, 2, 8, 10).contiguous()
    mix = augmentation(**{name: 1.0, f"{name}_alpha": alpha})
    _, targets = mix(images, labels, 2, generator())
    kept = targets[torch.arange(count), labels]
    return kept[kept < 1]


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_of_mixup_are_those_of_beta(alpha):
    """Their mean is 1/2 and their variance 1 / (4 (2 alpha + 1))."""
    kept = shares("mixup", alpha)
    assert kept.mean().item() == pytest.approx(0.5, abs=0.04)
    assert kept.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.12)


def test_shares_of_cutmix_spread_less_for_a_larger_alpha():
    narrow, uniform, wide = (shares("cutmix", alpha).var() for alpha in (8.0, 1.0, 0.1))
    assert narrow < uniform < wide


def test_mixing_can_be_left_out():
    images, labels = torch.rand(8, 3, 8, 10), torch.arange(8) % 4
    same, targets = augmentation(mixup=1.0)(images, labels, 4, generator(), mixes=False)
    assert torch.equal(same, images)
    assert torch.equal(targets, torch.eye(4)[labels])
