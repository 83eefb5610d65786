from __future__ import annotations

import datasets
import numpy as np
import pyarrow.parquet
import pytest
import soundfile
import torch

from spikeformer.data import AudioDataModule
from spikeformer.error_handling import ArgumentError, DataError
from tests.data.sets import loaded_tones as loaded


@pytest.mark.parametrize("channels", [1, 2])
def test_shape_range_and_content(tones, cache, channels):
    data = loaded(path=tones(channels=channels), num_classes=2, batch_size=20, cache_dir=cache)
    images, labels = next(iter(data.train_dataloader()))
    assert images.shape == (18, 1, 32, 64)
    assert images.dtype == torch.float32
    assert data.splits.train.inputs.max() == 1
    assert data.splits.train.inputs.min() == 0
    loudest_band = images[:, 0].mean(2).argmax(1)
    assert torch.equal(loudest_band > 12, labels == 1)
    # 0.2 s of sound and then silence.
    short = data.splits.test.inputs[0, 0]
    assert short[:, 20:].max() == 0
    assert short[:, :12].max() > 0.9


def test_long_recordings_are_cut_short_ones_padded(tones, cache):
    data = loaded(
        path=tones(), num_frames=4, num_mels=16, n_fft=200, hop_length=50, cache_dir=cache
    )
    assert data.num_samples == 350
    assert data.image_size == (16, 4)
    assert data.splits.test.inputs.shape == (6, 1, 16, 4)


def test_scale_comes_from_the_training_split(tones, cache):
    path = tones()
    a = loaded(path=path, cache_dir=cache, dynamic_range_db=40.0)
    b = loaded(path=path, cache_dir=cache, dynamic_range_db=80.0)
    # The same loudness: 1 - x is in proportion to the range while nothing is clipped.
    low, wide = a.splits.test.inputs, b.splits.test.inputs
    kept = low > 0
    assert torch.allclose((1 - low[kept]) * 40, (1 - wide[kept]) * 80, atol=1e-3)


def test_augmentation_is_for_training_only(tones, cache, recorder, trainer):
    data = AudioDataModule(
        path=tones(), batch_size=30, cache_dir=cache, max_shift=5, time_mask=8, frequency_mask=4
    )
    model = recorder(32 * 64, 2)
    trainer(max_epochs=1).fit(model, datamodule=data)
    assert torch.equal(model.validated[-1], data.splits.val.inputs)
    seen = model.seen[0][0][0]
    plain = {image.numpy().tobytes() for image in data.splits.train.inputs}
    assert sum(image.numpy().tobytes() not in plain for image in seen) > 10
    assert 0 <= seen.min() <= seen.max() <= 1


def test_wrong_column(tones, cache):
    data = AudioDataModule(path=tones(), audio_key="label", cache_dir=cache)
    with pytest.raises(DataError, match=r"data\.audio_key='label' holds"):
        data.setup()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"in_channels": 3}, "in_channels"),
        ({"image_size": [64, 32]}, "image_size"),
        ({"num_mels": 200}, "num_mels"),
        ({"hop_length": 0}, "hop_length"),
        ({"sample_rate": -1}, "sample_rate"),
        ({"dynamic_range_db": 0.0}, "dynamic_range_db"),
        ({"time_mask": 64}, "time_mask"),
        ({"frequency_mask": 32}, "frequency_mask"),
        ({"max_shift": -1}, "max_shift"),
    ],
)
def test_values_outside_their_range(wrong, named):
    with pytest.raises(ArgumentError, match=named):
        AudioDataModule(path="x", **wrong)


def test_fsdd(shared_set, cache):
    data = loaded(path=shared_set("fsdd"), num_classes=10, cache_dir=cache)
    assert [len(p) for p in (data.splits.train, data.splits.val, data.splits.test)] == [
        2430,
        270,
        300,
    ]
    assert data.class_names == list("0123456789")
    assert torch.equal(torch.bincount(data.splits.val.targets), torch.full((10,), 27))
    images = data.splits.train.inputs
    assert images.shape == (2430, 1, 32, 64)
    assert images.max() == 1
    assert 0.05 < images.mean() < 0.5


def test_the_scale_is_that_of_the_training_samples_alone(tmp_path, cache):
    """The test recordings are louder: they end at 1, and the training ones still reach it."""
    for split, loudness in (("train", 0.1), ("test", 0.9)):
        rows = {"audio": [], "label": []}
        for number in range(8):
            time = np.arange(2000) / 8000
            wave = loudness * np.sin(2 * np.pi * (300 + 50 * number) * time)
            soundfile.write(tmp_path / "wave.wav", wave, 8000)
            rows["audio"].append({"bytes": (tmp_path / "wave.wav").read_bytes(), "path": None})
            rows["label"].append(number % 2)
        features = datasets.Features(
            {"audio": datasets.Audio(8000), "label": datasets.ClassLabel(names=["0", "1"])}
        )
        table = pyarrow.table(rows, schema=features.arrow_schema)
        pyarrow.parquet.write_table(table, tmp_path / f"{split}.parquet")
    data = AudioDataModule(path=str(tmp_path), cache_dir=cache, num_frames=8, val_fraction=0)
    data.setup()
    assert data.splits.train.inputs.max() == 1
    assert (data.splits.test.inputs == 1).sum() > 8
