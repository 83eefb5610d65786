"""Small sets: tones, rows of numbers, sentences."""

from __future__ import annotations

import io

import soundfile
import torch

from spikeformer.data import AudioDataModule, TableDataModule, TensorBatches, TextDataModule


def wav(wave, rate=8000):
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format="WAV")
    return file.getvalue()


def loaded_tones(**options):
    data = AudioDataModule(**options)
    data.setup()
    return data


class Rows(TableDataModule):
    """Inputs are the number of each row."""

    def build(self, parts):
        return {
            name: TensorBatches(
                torch.tensor(part.table["number"][:]), torch.from_numpy(part.labels)
            )
            for name, part in parts.items()
        }


WORDS = ("a film of great beauty and little sense told with warmth by people who know how").split()  # noqa: SIM905


def sentences(count, offset=0):
    return [
        " ".join(WORDS[(i + k) % len(WORDS)] for k in range(3 + i % 5))
        for i in range(offset, offset + count)
    ]


def loaded_reviews(**options):
    data = TextDataModule(**options)
    data.setup()
    return data
