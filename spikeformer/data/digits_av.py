"""Digits that are seen and heard: recordings paired with images of the same class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from spikeformer.data.augmentation import add_noise, random_shift
from spikeformer.data.datasets import DictBatches
from spikeformer.data.digits import DigitsDataModule
from spikeformer.data.recordings import read_waveforms
from spikeformer.data.sources import optional_import
from spikeformer.data.tables import Part, TableDataModule, TableOptions
from spikeformer.error_handling import (
    ArgumentError,
    DataError,
    check_choice,
    check_interval,
    check_positive_int,
)
from spikeformer.i18n import t

MODALITIES = ("vision", "audio", "text")
SPLITS = ("recordings", "speakers")
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LETTERS = "_" + "".join(sorted({letter for name in NAMES for letter in name}))
CLEANEST_DB = 30.0
"""Noise of training samples is drawn from here down to `min_snr_db`."""


class AudioVisualDigitsDataModule(TableDataModule):
    """Spoken digits, each with a handwritten digit of the same class, and its name on request.

    A sample is one recording (of the Free Spoken Digit Dataset, or a table like it). Its image is
    one of scikit-learn's digits: of the training images for a training recording, of the test
    images for a test recording, so that a test has nothing in it that training had. Validation and
    test pairs depend on `split_seed` alone; training pairs are drawn anew in every epoch.

    Inputs are a dict of `vision` (batch, 1, 8, 8) in [0, 1], `audio` (batch, num_samples) in
    [-1, 1] and `text` (batch, 5), the letters of the name as numbers.

    Args:
        modalities: Which of "vision", "audio" and "text" a batch holds. The text gives the class
            away: it is there to try a third modality.
        split: "recordings" (the table's own splits: every speaker is in all of them) or
            "speakers" (`test_speakers` are heard in the test split and nowhere else).
        test_speakers: Speakers of the test split, for `split="speakers"`.
        speaker_key: Column of the speakers' names.
        audio_key: Column of the recordings; None finds it by its type.
        sample_rate: Samples per second that every recording must have.
        num_samples: Length to which every recording is cut or padded with silence.
        max_shift: Training images move by up to this many pixels each way.
        max_delay: Training recordings move by up to this many samples in time.
        noisy_share: Share of training samples that get noise, drawn for each modality by itself.
        max_image_noise: Largest standard deviation of the noise of training images, whose pixels
            are in [0, 1]. Its square root is uniform from 0: weak noise, which leaves something to
            learn, is more frequent than strong.
        min_snr_db: Lowest signal-to-noise ratio of training recordings, uniform up to 30 dB.
        **table: The arguments of `TableDataModule`.

    Raises:
        ArgumentError: A value is outside its range.
        DataError: In `setup`, if the recordings are absent, unreadable or not ten digits, or a
            speaker is unknown.
        MissingDependencyError: `datasets` or `soundfile` is missing.

    Example:
        >>> data = AudioVisualDigitsDataModule(path="/data/fsdd", modalities=["vision", "audio"])
        >>> data.num_classes
        10
    """

    def __init__(
        self,
        *,
        modalities: Sequence[str] = ("vision", "audio"),
        split: str = "recordings",
        test_speakers: Sequence[str] = ("theo",),
        speaker_key: str = "speaker",
        audio_key: str | None = None,
        sample_rate: int = 8000,
        num_samples: int = 6556,
        max_shift: int = 0,
        max_delay: int = 0,
        noisy_share: float = 0.0,
        max_image_noise: float = 0.0,
        min_snr_db: float = 0.0,
        **table: Unpack[TableOptions],
    ) -> None:
        if table.get("num_classes") is None:
            table["num_classes"] = 10
        super().__init__(**table)
        for modality in modalities:
            check_choice("modalities", modality, MODALITIES)
        if not modalities or len(set(modalities)) < len(modalities):
            expected = f"a list of different ones of {', '.join(map(repr, MODALITIES))}"
            raise ArgumentError("modalities", list(modalities), expected)
        self.modalities = tuple(modalities)
        self.split = check_choice("split", split, SPLITS)
        self.test_speakers, self.speaker_key = tuple(test_speakers), speaker_key
        if split == "speakers" and not self.test_speakers:
            raise ArgumentError("test_speakers", [], "the name of at least one speaker")
        self.audio_key = audio_key
        self.sample_rate = check_positive_int("sample_rate", sample_rate)
        self.num_samples = check_positive_int("num_samples", num_samples)
        for key, value, limit in (
            ("max_shift", max_shift, 8),
            ("max_delay", max_delay, num_samples),
        ):
            if not 0 <= value < limit:
                raise ArgumentError(key, value, f"an integer from 0 to {limit - 1}")
        self.max_shift, self.max_delay = max_shift, max_delay
        self.noisy_share = check_interval("noisy_share", noisy_share, 0.0, 1.0)
        self.max_image_noise = check_interval("max_image_noise", max_image_noise, 0.0, 10.0)
        self.min_snr_db = check_interval("min_snr_db", min_snr_db, -60.0, CLEANEST_DB)
        self._pool: _ImagePool | None = None

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Letter of each number of the text."""
        return [LETTERS[number] for number in ids]

    def build(self, parts: dict[str, Part]) -> dict[str, Dataset[Any]]:
        """Decode the recordings of each part and give each an image of its class and split."""
        column = parts["train"].column("audio", self.audio_key)
        images = DigitsDataModule(split_seed=self.split_seed, test_fraction=0.2, val_fraction=0.1)
        images.setup()
        pools = {
            name: _ImagePool(found.inputs, found.targets)
            for name in parts
            if (found := getattr(images.splits, name)) is not None
        }
        self._pool = pools["train"]
        return {name: self._build(part, column, pools[name]) for name, part in parts.items()}

    def augment(self, batch: Any, generator: torch.Generator) -> Any:
        """Pair the recordings anew, move both, and add noise to some of either."""
        inputs, labels = batch
        inputs = dict(inputs)
        if "vision" in inputs:
            assert self._pool is not None
            images = self._pool.draw(labels.cpu(), generator).to(inputs["vision"])
            if self.max_shift:
                images = random_shift(images, self.max_shift, self.max_shift, generator)
            inputs["vision"] = self._with_noise_on_images(images, generator)
        if "audio" in inputs:
            waves = inputs["audio"]
            if self.max_delay:
                waves = random_shift(waves[:, None, None], 0, self.max_delay, generator)[:, 0, 0]
            inputs["audio"] = self._with_noise_on_waves(waves, generator)
        return inputs, labels

    def _with_noise_on_images(self, images: Tensor, generator: torch.Generator) -> Tensor:
        noisy, amount = torch.rand(2, len(images), generator=generator)
        deviation = self.max_image_noise * amount**2 * (noisy < self.noisy_share)
        noise = deviation.view(-1, 1, 1, 1) * torch.randn(images.shape, generator=generator)
        return (images + noise.to(images)).clamp(0, 1)

    def _with_noise_on_waves(self, waves: Tensor, generator: torch.Generator) -> Tensor:
        noisy, amount = torch.rand(2, len(waves), generator=generator)
        ratio = self.min_snr_db + (CLEANEST_DB - self.min_snr_db) * amount
        ratio = ratio.masked_fill(noisy >= self.noisy_share, torch.inf)
        return add_noise(waves, ratio.to(waves.device), generator)

    def _choose(self, parts: dict[str, Part]) -> dict[str, Part]:
        if self.split == "recordings":
            return super()._choose(parts)
        return super()._choose(self._by_speaker(parts))

    def _by_speaker(self, parts: dict[str, Part]) -> dict[str, Part]:
        """Put all recordings together and part them by their speakers."""
        datasets = optional_import("datasets", t("data.for_reading"))
        table = datasets.concatenate_datasets([part.table for part in parts.values()])
        first = next(iter(parts.values()))
        labels = np.concatenate([part.labels for part in parts.values()])
        people = [part.people for part in parts.values() if part.people is not None]
        everything = Part(
            "train", table, labels, np.concatenate(people) if people else None, first.roots
        )
        if self.speaker_key not in table.column_names:
            columns = ", ".join(map(repr, table.column_names))
            asked = {"column": self.speaker_key, "where": self.where}
            raise DataError(t("data.no_speakers", **asked, columns=columns))
        speakers = np.array(table[self.speaker_key], dtype=np.str_)
        names = np.unique(speakers).tolist()
        unknown = sorted(set(self.test_speakers) - set(names))
        if unknown or set(names) == set(self.test_speakers):
            given, known = list(self.test_speakers), ", ".join(names)
            raise DataError(t("data.some_speakers", speakers=given, where=self.where, names=known))
        held_out = np.isin(speakers, self.test_speakers)
        return {
            self.train_split: everything.pick(np.flatnonzero(~held_out)),
            "test": everything.pick(np.flatnonzero(held_out), "test"),
        }

    def _build(self, part: Part, column: str, pool: _ImagePool) -> DictBatches:
        labels = torch.from_numpy(part.labels)
        inputs: dict[str, Tensor] = {}
        for modality in self.modalities:
            if modality == "vision":
                inputs["vision"] = pool.deal(labels, self.split_seed)
            elif modality == "audio":
                waves = read_waveforms(part, column, self.sample_rate, self.num_samples)
                inputs["audio"] = waves
            else:
                inputs["text"] = spelled()[labels]
        return DictBatches(inputs, labels)


def spelled() -> Tensor:
    """The names of the digits as numbers of letters, 0 behind the shorter ones, (10, 5)."""
    length = max(map(len, NAMES))
    return torch.tensor([[LETTERS.index(x) for x in name.ljust(length, "_")] for name in NAMES])


class _ImagePool:
    """Images from which one of a given class is taken."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        order = labels.argsort(stable=True)
        self.images = images[order]
        self.counts = torch.bincount(labels, minlength=10)
        self.first = self.counts.cumsum(0) - self.counts

    def draw(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return an image of each class in `labels`, drawn with replacement."""
        share = torch.rand(len(labels), generator=generator)
        return self.images[self.first[labels] + (share * self.counts[labels]).long()]

    def deal(self, labels: Tensor, seed: int) -> Tensor:
        """Return an image of each class in `labels`; none comes twice before all came once."""
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.empty_like(labels)
        for label in range(len(self.counts)):
            places = (labels == label).nonzero().flatten()
            count = int(self.counts[label])
            deck = torch.randperm(count, generator=generator)
            chosen[places] = self.first[label] + deck[torch.arange(len(places)) % count]
        return self.images[chosen]
