"""Images become what a model was trained on, as its image processor says."""

from __future__ import annotations

import pytest
import torch

from spikeformer.conversion.preprocessing import Preprocessing
from spikeformer.error_handling import ConversionError
from tests.conversion.networks import PROCESSOR, save_processor, vit_classifier


@pytest.fixture
def read(tmp_path):
    """Read the image processor of a model, with these changes."""
    config = vit_classifier().config

    def processor(**changes):
        save_processor(tmp_path, **changes)
        return Preprocessing.of(str(tmp_path), config)

    return processor


def test_preprocessing_scales_to_the_size_of_the_model(read):
    preprocessing, images = read(size={"height": 99}), torch.rand(2, 1, 24, 20)
    assert preprocessing.size == (16, 16)  # the model's own wins
    pixels = preprocessing(images)
    assert pixels.shape == (2, 3, 16, 16)
    mean, deviation = (
        torch.tensor(PROCESSOR[name])[:, None, None] for name in ("image_mean", "image_std")
    )
    grey = (pixels * deviation + mean).unbind(1)
    torch.testing.assert_close(grey[0], grey[1])
    torch.testing.assert_close(grey[0].mean(), images.mean(), rtol=0.05, atol=0)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"do_normalize": False}, lambda x: x),
        ({"do_rescale": False, "do_normalize": False}, lambda x: 255 * x),
        (
            {"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False},
            lambda x: 2 * x - 1,
        ),
        ({"do_flip_channel_order": True, "do_normalize": False}, lambda x: x.flip(1)),
        ({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}, lambda x: 4 * x - 2),
    ],
)
def test_preprocessing_does_as_the_image_processor_says(read, changes, expected):
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(read(**changes)(images), expected(images))


def test_preprocessing_is_not_made_up_where_there_is_no_image_processor(tmp_path):
    with pytest.raises(ConversionError, match=r"no image processor.*save_pretrained"):
        Preprocessing.of(str(tmp_path), vit_classifier().config)


@pytest.mark.parametrize(
    "changes",
    [
        {"image_mean": None},
        {"image_mean": [0.5]},
        {"image_std": [0.2, 0.0, 0.2]},
        {"image_std": 0.5},
        {"max_num_patches": 16},
    ],
)
def test_preprocessing_that_does_not_fit_is_refused(read, changes):
    with pytest.raises(ConversionError, match="does not fit the model"):
        read(**changes)


def test_preprocessing_refuses_images_of_other_channels(read):
    with pytest.raises(ConversionError, match="3 channels, but the data gives 4"):
        read()(torch.rand(2, 4, 16, 16))
