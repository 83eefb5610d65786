"""Recordings as log-mel images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
from torch import Tensor
from torch.utils.data import Dataset

from spikeformer.data.augmentation import random_mask, random_shift
from spikeformer.data.cached import through_cache
from spikeformer.data.datasets import TensorBatches
from spikeformer.data.decode import encoded
from spikeformer.data.recordings import read_waveforms
from spikeformer.data.spectrogram import log_mel, mel_filters
from spikeformer.data.tables import Part, TableDataModule, TableOptions
from spikeformer.error_handling import ArgumentError, check_positive, check_positive_int

CHUNK = 256


class AudioDataModule(TableDataModule):
    """Recordings as one-channel images, (batch, 1, num_mels, num_frames) in [0, 1].

    A recording is cut or padded with silence to `num_frames` frames, its log-mel power (see
    `log_mel`) is scaled by the training split's range: 1 is the loudest value of the training
    split, 0 is `dynamic_range_db` below it and everything quieter. The data of a trained network
    have the range of its training.

    Args:
        audio_key: Column of the recordings; None finds it by its type.
        sample_rate: Samples per second that every recording must have.
        n_fft: Frame length in samples.
        hop_length: Samples from one frame to the next.
        num_mels: Mel bands, the height of the image.
        num_frames: Frames, the width of the image.
        dynamic_range_db: Range of loudness that [0, 1] covers.
        max_shift: Training images move by up to this many frames in time.
        time_mask: Widest stripe of frames blanked in a training image.
        frequency_mask: Widest stripe of mel bands blanked in a training image.
        in_channels: Must be 1; here so that model configurations can refer to it.
        image_size: Must be [num_mels, num_frames] if given; likewise.
        **table: The arguments of `TableDataModule`.

    Raises:
        ArgumentError: A value is outside its range.
        DataError: In `setup`, if the data is absent, unreadable or not what the keys say.
        MissingDependencyError: `datasets` or `soundfile` is missing.

    Example:
        >>> data = AudioDataModule(source="mteb/free-spoken-digit-dataset", num_classes=10)
        >>> data.image_size
        (32, 64)
    """

    def __init__(
        self,
        *,
        audio_key: str | None = None,
        sample_rate: int = 8000,
        n_fft: int = 256,
        hop_length: int = 100,
        num_mels: int = 32,
        num_frames: int = 64,
        dynamic_range_db: float = 80.0,
        max_shift: int = 0,
        time_mask: int = 0,
        frequency_mask: int = 0,
        in_channels: int = 1,
        image_size: Sequence[int] | None = None,
        **table: Unpack[TableOptions],
    ) -> None:
        super().__init__(**table)
        for key, value, limit in (
            ("max_shift", max_shift, num_frames),
            ("time_mask", time_mask, num_frames),
            ("frequency_mask", frequency_mask, num_mels),
        ):
            if not 0 <= value < limit:
                raise ArgumentError(key, value, f"an integer from 0 to {limit - 1}")
        if in_channels != 1:
            raise ArgumentError("in_channels", in_channels, "1: a spectrogram has one channel")
        self.audio_key = audio_key
        self._loudest: float | None = None
        self.sample_rate = check_positive_int("sample_rate", sample_rate)
        self.n_fft = check_positive_int("n_fft", n_fft)
        self.hop_length = check_positive_int("hop_length", hop_length)
        self.num_mels = check_positive_int("num_mels", num_mels)
        self.num_frames = check_positive_int("num_frames", num_frames)
        self.dynamic_range_db = check_positive("dynamic_range_db", dynamic_range_db)
        self.max_shift, self.time_mask, self.frequency_mask = max_shift, time_mask, frequency_mask
        self.in_channels, self.image_size = 1, (num_mels, num_frames)
        if image_size is not None and tuple(image_size) != self.image_size:
            raise ArgumentError(
                "image_size",
                list(image_size),
                f"[num_mels, num_frames] = {list(self.image_size)}",
            )
        mel_filters(sample_rate, n_fft, num_mels)  # refuses too many bands now, not in `setup`

    @property
    def num_samples(self) -> int:
        """Length in samples to which every recording is cut or padded."""
        return self.n_fft + (self.num_frames - 1) * self.hop_length

    def build(self, parts: dict[str, Part]) -> dict[str, Dataset[Any]]:
        """Compute the spectrograms of each part and scale them."""
        column = parts["train"].column("audio", self.audio_key)
        images = {name: self._spectrograms(part, column) for name, part in parts.items()}
        known = None if self.given is None else self.given.loudest_db
        self._loudest = float(images["train"].max()) if known is None else known
        loudest = self._loudest
        quietest = loudest - self.dynamic_range_db
        return {
            name: TensorBatches(
                ((images[name] - quietest) / self.dynamic_range_db).clamp_(0, 1),
                torch.from_numpy(part.labels),
            )
            for name, part in parts.items()
        }

    def fitted(self) -> dict[str, Any]:
        """Return the loudness that is 1."""
        return {"loudest_db": self._loudest}

    def augment(self, batch: Any, generator: torch.Generator) -> Any:
        """Shift the images in time and blank stripes of them."""
        images, labels = batch
        if self.max_shift:
            images = random_shift(images, 0, self.max_shift, generator)
        if self.time_mask:
            images = random_mask(images, 3, self.time_mask, generator)
        if self.frequency_mask:
            images = random_mask(images, 2, self.frequency_mask, generator)
        return images, labels

    def _spectrograms(self, part: Part, column: str) -> Tensor:
        """(samples, 1, num_mels, num_frames) in dB."""
        cells = encoded(part.table, column, "Audio")
        options = {
            "sample_rate": self.sample_rate,
            "n_fft": self.n_fft,
            "hop_length": self.hop_length,
            "num_mels": self.num_mels,
        }
        how = (read_waveforms, log_mel, mel_filters, options, self.num_samples, torch.__version__)

        def compute() -> Tensor:
            waveforms = read_waveforms(part, column, self.sample_rate, self.num_samples)
            return torch.cat([log_mel(x, **options) for x in torch.split(waveforms, CHUNK)])[
                :, None
            ]

        return through_cache(self.cache, cells, column, part.roots, how, compute)
