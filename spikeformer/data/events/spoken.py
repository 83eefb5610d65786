"""Recordings of sound as spikes of a simulated cochlea."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
from torch import Tensor
from torch.utils.data import Dataset

from spikeformer.data.cached import through_cache
from spikeformer.data.datasets import TensorBatches
from spikeformer.data.decode import encoded
from spikeformer.data.events.augmentation import EventAugmentation
from spikeformer.data.events.cochlea import cochlea_spikes, envelopes
from spikeformer.data.events.representation import Representation
from spikeformer.data.recordings import read_waveforms
from spikeformer.data.tables import Part, TableDataModule, TableOptions
from spikeformer.error_handling import ArgumentError, check_positive, check_positive_int


class SpokenSpikesDataModule(TableDataModule):
    """Sounds as a cochlea sends them, (batch, timesteps, 1, 1, num_channels), as SHD was made.

    Args:
        audio_key: Column of the recordings; None finds it by its type.
        sample_rate: Samples per second that every recording must have.
        num_samples: Length to which every recording is cut or padded with silence.
        num_channels: Channels of the cochlea.
        sensitivity: How much its neurons are driven: see `cochlea_spikes`.
        representation: "time", "count", "spikes" or "surface": see `Representation`.
        timesteps: Steps of a sample, which are the network's.
        duration_ms: Time from a recording's first spike that the steps divide, in ms; None takes
            the length of each recording.
        max_shift: Training samples move by up to this many channels each way.
        drop: Probability of EventDrop for a training sample.
        in_channels: Must be 1; here so that model configurations can refer to it.
        image_size: Must be [1, num_channels] if given; likewise.
        **table: The arguments of `TableDataModule`.

    Raises:
        ArgumentError: A value is outside its range.
        DataError: In `setup`, if the data is absent, unreadable or not what the keys say.
        MissingDependencyError: `datasets` or `soundfile` is missing.

    Example:
        >>> data = SpokenSpikesDataModule(source="mteb/free-spoken-digit-dataset", num_classes=10)
        >>> data.representation.width
        64
    """

    def __init__(
        self,
        *,
        audio_key: str | None = None,
        sample_rate: int = 8000,
        num_samples: int = 6556,
        num_channels: int = 64,
        sensitivity: float = 0.6,
        representation: str = "time",
        timesteps: int = 50,
        duration_ms: float | None = 500.0,
        max_shift: int = 0,
        drop: float = 0.0,
        in_channels: int = 1,
        image_size: Sequence[int] | None = None,
        **table: Unpack[TableOptions],
    ) -> None:
        super().__init__(**table)
        self.audio_key = audio_key
        self.sample_rate = check_positive_int("sample_rate", sample_rate)
        self.num_samples = check_positive_int("num_samples", num_samples)
        self.num_channels = check_positive_int("num_channels", num_channels)
        self.sensitivity = check_positive("sensitivity", sensitivity)
        if in_channels != 1:
            raise ArgumentError("in_channels", in_channels, "1: a cochlea has no polarity")
        size = [1, num_channels]
        if image_size is not None and list(image_size) != size:
            raise ArgumentError("image_size", list(image_size), f"[1, num_channels] = {size}")
        self.representation = Representation(
            representation, timesteps, 1, num_channels, polarity=False, duration_ms=duration_ms
        )
        self.augmentation = EventAugmentation(max_shift=max_shift, drop=drop)

    def build(self, parts: dict[str, Part]) -> dict[str, Dataset[Any]]:
        """Let each part be heard, and make frames of what the cochlea sends."""
        column = parts["train"].column("audio", self.audio_key)
        return {name: self._build(part, column) for name, part in parts.items()}

    def augment(self, batch: Any, generator: torch.Generator) -> Any:
        """Move the samples along the channels, and thin them out."""
        events, labels = batch
        return self.augmentation(events, labels, self.num_classes, generator)

    def _build(self, part: Part, column: str) -> TensorBatches:
        options = {
            "sample_rate": self.sample_rate,
            "channels": self.num_channels,
            "sensitivity": self.sensitivity,
        }
        how = (cochlea_spikes, envelopes, options, self.num_samples, vars(self.representation))

        def compute() -> Tensor:
            heard = read_waveforms(part, column, self.sample_rate, self.num_samples).numpy()
            return self.representation(cochlea_spikes(heard, **options))  # type: ignore[arg-type]

        cells = encoded(part.table, column, "Audio")
        frames = through_cache(self.cache, cells, column, part.roots, how, compute)
        return TensorBatches(frames, torch.from_numpy(part.labels), unit=1.0)
