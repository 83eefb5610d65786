from __future__ import annotations

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


def test_another_sampling_rate_is_refused_with_the_remedy(tones, cache):
    data = AudioDataModule(path=tones(rate=16000), sample_rate=8000, cache_dir=cache)
    with pytest.raises(
        DataError, match=r"data\.sample_rate=8000 but .* set data\.sample_rate=16000"
    ):
        data.setup()


def test_damaged_recording_is_named(tones, cache):
    data = AudioDataModule(path=tones(spoil=b"RIFFnonsense"), cache_dir=cache, val_fraction=0)
    with pytest.raises(DataError, match="recording 3 of the train split cannot be decoded"):
        data.setup()
