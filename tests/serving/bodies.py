"""What clients send."""

from __future__ import annotations

import io
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from spikeformer.data.tokenizer import trained_encoder


def npy(values: np.ndarray, *, pickle: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=pickle)
    return stream.getvalue()


def png(grey: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, "PNG")
    return stream.getvalue()


def tokenizer(sentences: list[str]) -> str:
    with TemporaryDirectory() as folder:
        return str(trained_encoder(sentences, "word", 100, Path(folder)).tokenizer.to_str())
