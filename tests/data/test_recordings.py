from __future__ import annotations

import io

import datasets
import numpy as np
import pyarrow.parquet
import pytest
import soundfile

from spikeformer.data import AudioDataModule
from spikeformer.error_handling import DataError


def test_a_recording_is_read_as_far_as_it_is_kept(tmp_path):
    """A header may claim hours: no more is decoded than is used."""
    from spikeformer.data.recordings import read_waveforms
    from spikeformer.data.tables import Part

    wave = np.random.default_rng(0).uniform(-1, 1, 5000).astype(np.float32)
    soundfile.write(tmp_path / "a.flac", wave, 8000)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    whole = bytes(content)
    content[21] |= 0x0F  # STREAMINFO: the upper bits of the number of samples
    content[22:26] = b"\xff" * 4
    features = datasets.Features({"audio": datasets.Audio(8000)})

    def read(encoded, length):
        rows = {"audio": [{"bytes": encoded, "path": None}]}
        inside = pyarrow.table(rows, schema=features.arrow_schema)
        part = Part("train", datasets.Dataset(inside), np.zeros(1, np.int64))
        return read_waveforms(part, "audio", 8000, length)[0].numpy()

    assert np.array_equal(read(whole, 800), read(whole, 6000)[:800])
    assert not read(whole, 6000)[5000:].any()
    assert np.array_equal(read(bytes(content), 800), read(whole, 800))


def wav(wave, rate=8000):
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format="WAV")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Two classes, a low and a high tone, of different lengths."""

    def write(rate=8000, spoil=None, channels=1):
        import datasets

        names = datasets.ClassLabel(names=["low", "high"])
        features = datasets.Features({"audio": datasets.Audio(rate), "label": names})
        for split, count in (("train", 20), ("test", 6)):
            cells, labels = [], []
            for number in range(count):
                label = number % 2
                time = np.arange(rate * (2 + number % 5) // 10) / rate
                wave = 0.5 * np.sin(2 * np.pi * (300, 2000)[label] * time)
                wave = np.stack([wave] * channels, 1) if channels > 1 else wave
                cells.append({"bytes": wav(wave, rate), "path": None})
                labels.append(label)
            if split == "train" and spoil is not None:
                cells[3] = {"bytes": spoil, "path": None}
            rows = {"audio": cells, "label": labels}
            # Not through `Dataset.from_dict`, whose audio encoding wants torchcodec.
            table = pyarrow.table(rows, schema=features.arrow_schema)
            pyarrow.parquet.write_table(table, tmp_path / f"{split}.parquet")
        return str(tmp_path)

    return write


def loaded(**options):
    data = AudioDataModule(**options)
    data.setup()
    return data


def test_another_sampling_rate_is_refused_with_the_remedy(folder, cache):
    data = AudioDataModule(path=folder(rate=16000), sample_rate=8000, cache_dir=cache)
    with pytest.raises(
        DataError, match=r"data\.sample_rate=8000 but .* set data\.sample_rate=16000"
    ):
        data.setup()


def test_damaged_recording_is_named(folder, cache):
    data = AudioDataModule(path=folder(spoil=b"RIFFnonsense"), cache_dir=cache, val_fraction=0)
    with pytest.raises(DataError, match="recording 3 of the train split cannot be decoded"):
        data.setup()
