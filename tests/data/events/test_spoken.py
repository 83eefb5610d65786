"""Recordings of sound as spikes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import soundfile
import torch

from spikeformer.data import SpokenSpikesDataModule
from spikeformer.data.events import Representation, cochlea_spikes
from spikeformer.error_handling import ArgumentError


def module(folder, cache, **options) -> SpokenSpikesDataModule:
    options = {"val_fraction": 0, "num_samples": 2400, "timesteps": 5, **options}
    data = SpokenSpikesDataModule(path=str(folder), cache_dir=cache, **options)
    data.setup()
    return data


def test_frames_are_those_of_the_cochlea(tones, cache):
    folder = Path(tones())
    data = module(folder, cache)
    cells = pyarrow.parquet.read_table(next(folder.glob("test*.parquet"))).to_pylist()
    waves = np.zeros((len(cells), 2400), np.float32)
    for wave, cell in zip(waves, cells, strict=True):
        heard, _ = soundfile.read(io.BytesIO(cell["audio"]["bytes"]), 2400)
        wave[: len(heard)] = heard
    represent = Representation("time", 5, 1, 64, polarity=False, duration_ms=500.0)
    expected = represent(cochlea_spikes(waves, sample_rate=8000))
    assert torch.equal(data.splits.test.inputs, expected)
    assert data.class_names == ["low", "high"]


def test_classes_are_where_their_tones_are_and_training_moves_them(tones, cache):
    data = module(tones(), cache, num_channels=20, max_shift=1)
    frames, targets = data.splits.train.inputs.float(), data.splits.train.targets
    assert frames.shape == (20, 5, 1, 1, 20)
    mean = (frames.sum(dim=(1, 2, 3)) @ torch.arange(20.0)) / frames.flatten(1).sum(dim=1)
    assert mean[targets == 0].max() < mean[targets == 1].min()
    batch = next(iter(data.train_dataloader()))
    moved, _ = data.augment(batch, torch.Generator().manual_seed(0))
    assert moved.shape == batch[0].shape
    assert not torch.equal(moved, batch[0])
    assert moved.sum() > 0.9 * batch[0].sum()


@pytest.mark.parametrize(
    "options", [{"in_channels": 2}, {"image_size": [1, 65]}, {"sensitivity": -1.0}]
)
def test_wrong_arguments_are_refused(options):
    with pytest.raises(ArgumentError):
        SpokenSpikesDataModule(path="x", **options)
