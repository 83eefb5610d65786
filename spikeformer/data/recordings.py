"""Encoded recordings to waveforms of one length, with soundfile."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeformer.data.decode import encoded, read_bytes
from spikeformer.data.sources import optional_import
from spikeformer.data.tables import Part
from spikeformer.error_handling import DataError
from spikeformer.i18n import t


def read_waveforms(part: Part, column: str, sample_rate: int, num_samples: int) -> Tensor:
    """Decode the recordings of a part, cut or padded with silence, (len(part), num_samples).

    Args:
        part: The recordings.
        column: Their column.
        sample_rate: Samples per second that every recording must have.
        num_samples: Length of the result in samples; several channels are averaged.

    Raises:
        DataError: A recording cannot be decoded or has another sampling rate.
    """
    cells = encoded(part.table, column, "Audio")
    waveforms = torch.zeros(len(cells), num_samples)
    for number, cell in enumerate(cells):
        wave = torch.from_numpy(_decode(cell[column], number, part, sample_rate, num_samples))
        waveforms[number, : len(wave)] = wave
    return waveforms


def _decode(
    cell: Any, number: int, part: Part, sample_rate: int, num_samples: int
) -> np.ndarray[Any, Any]:
    soundfile = optional_import("soundfile", t("data.for_recordings"))
    try:
        content = io.BytesIO(read_bytes(cell, part.roots))
        # No more than is kept: a header may claim any length.
        wave, rate = soundfile.read(content, num_samples, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, TypeError, ValueError, MemoryError) as error:
        raise DataError(
            t("data.broken_recording", number=number, split=part.name, reason=error)
        ) from error
    if rate != sample_rate:
        raise DataError(
            t("data.sample_rate", configured=sample_rate, number=number, split=part.name, rate=rate)
        )
    mono: np.ndarray[Any, Any] = wave.mean(1)
    return mono
