"""Data modules: samples in, `(inputs, target)` batches out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikeformer import lazily

if TYPE_CHECKING:
    from spikeformer.data.audio import AudioDataModule
    from spikeformer.data.augmentation import add_noise, random_mask, random_shift
    from spikeformer.data.datamodule import SpikingDataModule, Splits
    from spikeformer.data.datasets import DictBatches, TensorBatches, TokenBatches
    from spikeformer.data.digits import DigitsDataModule
    from spikeformer.data.digits_av import AudioVisualDigitsDataModule
    from spikeformer.data.events import (
        DigitsDvsDataModule,
        DvsGestureDataModule,
        EventDataModule,
        EventFolderDataModule,
        HeidelbergDataModule,
        SpokenSpikesDataModule,
    )
    from spikeformer.data.image import ImageDataModule
    from spikeformer.data.preparation import Preparation
    from spikeformer.data.sampling import EpochSampler
    from spikeformer.data.spectrogram import log_mel, mel_filters
    from spikeformer.data.tables import Part, TableDataModule
    from spikeformer.data.text import TextDataModule
else:
    __getattr__, __dir__ = lazily(__name__)

__all__ = [
    "AudioDataModule",
    "AudioVisualDigitsDataModule",
    "DictBatches",
    "DigitsDataModule",
    "DigitsDvsDataModule",
    "DvsGestureDataModule",
    "EpochSampler",
    "EventDataModule",
    "EventFolderDataModule",
    "HeidelbergDataModule",
    "ImageDataModule",
    "Part",
    "Preparation",
    "SpikingDataModule",
    "Splits",
    "SpokenSpikesDataModule",
    "TableDataModule",
    "TensorBatches",
    "TextDataModule",
    "TokenBatches",
    "add_noise",
    "log_mel",
    "mel_filters",
    "random_mask",
    "random_shift",
]
