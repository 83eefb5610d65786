"""Schemas of the `data` group: one dataclass per data module, mirroring its constructor."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING

from spikeformer.config.schema.register import schema


@dataclass
class DataConfig:
    """`spikeformer.data.SpikingDataModule`: what all data modules share."""

    _target_: str = "???"
    batch_size: int = 64
    num_workers: int | None = None
    seed: int = 0


@schema("data", "digits")
@dataclass
class DigitsConfig(DataConfig):
    """`spikeformer.data.DigitsDataModule`."""

    _target_: str = "spikeformer.data.DigitsDataModule"
    split_seed: int = 0
    test_fraction: float = 0.2
    val_fraction: float = 0.1
    max_shift: int = 0
    in_channels: int = 1
    image_size: list[int] = field(default_factory=lambda: [8, 8])
    num_classes: int = 10


@dataclass
class TableConfig(DataConfig):
    """`spikeformer.data.TableDataModule`: what the modules that read tables share."""

    source: str | None = None
    path: str | None = None
    subset: str | None = None
    format: str = "auto"
    label_key: str | None = None
    num_classes: int | None = None
    train_split: str = "train"
    val_split: str | None = None
    test_split: str | None = None
    val_fraction: float = 0.1
    test_fraction: float = 0.2
    split_seed: int = 0
    limit_train: int | None = None
    limit_test: int | None = None
    cache_dir: str | None = None


@schema("data", "image")
@dataclass
class ImageConfig(TableConfig):
    """`spikeformer.data.ImageDataModule`."""

    _target_: str = "spikeformer.data.ImageDataModule"
    image_key: str | None = None
    image_size: list[int] = field(default_factory=lambda: [32, 32])
    in_channels: int = 3
    bit_depth: int | None = None
    background: str = "white"
    crop_padding: int = 0
    crop_scale: float = 1.0
    horizontal_flip: bool = False
    rand_augment: int = 0
    rand_magnitude: float = 0.9
    random_erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    mixup_alpha: float = 1.0
    cutmix_alpha: float = 1.0
    mix_epochs: int | None = None
    memory_limit_gib: float = 4.0


@schema("data", "image_folder")
@dataclass
class ImageFolderConfig(ImageConfig):
    """`spikeformer.data.ImageDataModule` of a folder that has to be named."""

    path: str | None = MISSING
    num_classes: int | None = MISSING


@schema("data", "text")
@dataclass
class TextConfig(TableConfig):
    """`spikeformer.data.TextDataModule`."""

    _target_: str = "spikeformer.data.TextDataModule"
    text_key: str | None = None
    task: str = "classification"
    max_length: int = 64
    vocab_size: int | None = 8000
    tokenizer: str | None = None
    tokenizer_kind: str = "bpe"
    packing: bool = False


@schema("data", "text_table")
@dataclass
class TextTableConfig(TextConfig):
    """`spikeformer.data.TextDataModule` of tables that have to be named."""

    path: str | None = MISSING
    num_classes: int | None = MISSING


@schema("data", "audio")
@dataclass
class AudioConfig(TableConfig):
    """`spikeformer.data.AudioDataModule`."""

    _target_: str = "spikeformer.data.AudioDataModule"
    audio_key: str | None = None
    sample_rate: int = 8000
    n_fft: int = 256
    hop_length: int = 100
    num_mels: int = 32
    num_frames: int = 64
    dynamic_range_db: float = 80.0
    max_shift: int = 0
    time_mask: int = 0
    frequency_mask: int = 0
    in_channels: int = 1
    image_size: list[int] | None = None


@schema("data", "digits_av")
@dataclass
class AudioVisualDigitsConfig(TableConfig):
    """`spikeformer.data.AudioVisualDigitsDataModule`."""

    _target_: str = "spikeformer.data.AudioVisualDigitsDataModule"
    modalities: list[str] = field(default_factory=lambda: ["vision", "audio"])
    split: str = "recordings"
    test_speakers: list[str] = field(default_factory=lambda: ["theo"])
    speaker_key: str = "speaker"
    audio_key: str | None = None
    sample_rate: int = 8000
    num_samples: int = 6556
    max_shift: int = 0
    max_delay: int = 0
    noisy_share: float = 0.0
    max_image_noise: float = 0.0
    min_snr_db: float = 0.0


@dataclass
class EventConfig(DataConfig):
    """`spikeformer.data.EventDataModule`: what the modules of events share."""

    representation: str = "time"
    timesteps: int = 10
    image_size: list[int] = field(default_factory=lambda: [34, 34])
    in_channels: int = 2
    duration_ms: float | None = None
    tau_ms: float = 30.0
    max_shift: int = 0
    horizontal_flip: bool = False
    geometric: float = 0.0
    drop: float = 0.0
    time_cutmix: float = 0.0
    roll: int = 0
    augment_events: bool = False
    num_classes: int | None = None


@schema("data", "digits_dvs")
@dataclass
class DigitsDvsConfig(EventConfig):
    """`spikeformer.data.DigitsDvsDataModule`."""

    _target_: str = "spikeformer.data.DigitsDvsDataModule"
    split_seed: int = 0
    test_fraction: float = 0.2
    val_fraction: float = 0.1
    saccade_ms: float = 100.0
    contrast: float = 0.35


@dataclass
class ClipConfig(EventConfig):
    """`spikeformer.data.events.clips.ClipDataModule`: what sets of recordings in files share."""

    path: str | None = None
    homepage: str | None = None
    layout: str | None = None
    sensor_size: list[int] | None = None
    split: str | None = None
    val_fraction: float = 0.1
    test_fraction: float = 0.1
    split_seed: int = 0
    limit_train: int | None = None
    limit_test: int | None = None


@schema("data", "event_folder")
@dataclass
class EventFolderConfig(ClipConfig):
    """`spikeformer.data.EventFolderDataModule`."""

    _target_: str = "spikeformer.data.EventFolderDataModule"


@schema("data", "dvs_gesture")
@dataclass
class DvsGestureConfig(ClipConfig):
    """`spikeformer.data.DvsGestureDataModule`."""

    _target_: str = "spikeformer.data.DvsGestureDataModule"


@schema("data", "heidelberg")
@dataclass
class HeidelbergConfig(ClipConfig):
    """`spikeformer.data.HeidelbergDataModule`."""

    _target_: str = "spikeformer.data.HeidelbergDataModule"


@schema("data", "spoken_spikes")
@dataclass
class SpokenSpikesConfig(TableConfig):
    """`spikeformer.data.SpokenSpikesDataModule`."""

    _target_: str = "spikeformer.data.SpokenSpikesDataModule"
    audio_key: str | None = None
    sample_rate: int = 8000
    num_samples: int = 6556
    num_channels: int = 64
    sensitivity: float = 0.6
    representation: str = "time"
    timesteps: int = 50
    duration_ms: float | None = 500.0
    max_shift: int = 0
    drop: float = 0.0
    in_channels: int = 1
    image_size: list[int] | None = None
