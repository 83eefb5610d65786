"""What the host computes before a chip: embeddings and log-mel frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeformer.data import log_mel
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import Lookup, Spectrogram
from spikeformer.multimodal import LogMelFrames


def test_rows_of_the_table_follow_one_another():
    lookup = Lookup("input_ids", np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    values = lookup(np.array([[2, 0], [1, 1]]))
    np.testing.assert_array_equal(values, [[5, 6, 1, 2], [3, 4, 3, 4]])
    assert values.dtype == np.float64
    assert lookup(np.zeros((0, 2), np.int64)).shape == (0, 4)
    assert lookup.input_shape((2, 2)) == (2,)


@pytest.mark.parametrize("ids", [np.array([[3]]), np.array([[-1]]), np.array([[0.0]])])
def test_ids_that_are_not_in_the_table_are_refused(ids):
    with pytest.raises(HardwareCompatibilityError, match="from 0 to 3 - 1"):
        Lookup("input_ids", np.ones((3, 2)))(ids)


def test_frames_are_those_of_the_log_mel_spectrogram():
    frames = LogMelFrames(8000, 64, 50, 5, 40.0)
    spectrogram = Spectrogram("audio", 263, frames)
    waves = torch.randn(3, 263, dtype=torch.float64)
    values = spectrogram(waves.numpy())
    loudness = log_mel(waves.float(), sample_rate=8000, n_fft=64, hop_length=50, num_mels=5)
    loudest = loudness.amax(dim=(1, 2), keepdim=True)
    expected = (1 - (loudest - loudness) / 40).clamp(min=0)
    np.testing.assert_allclose(values, expected.flatten(1), rtol=1e-6)
    assert values.shape == (3, np.prod(frames.shape(263)))
    assert spectrogram.input_shape(frames.shape(263)) == (263,)
