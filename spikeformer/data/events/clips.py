"""Recordings in files: which there are, their splits and classes, and their frames."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped]

from spikeformer.caching import content_key
from spikeformer.data.datamodule import Splits
from spikeformer.data.events.datamodule import EventDataModule, EventOptions
from spikeformer.data.events.files import RawEvents
from spikeformer.data.events.named_splits import NamedSplit
from spikeformer.data.events.recordings import Recordings
from spikeformer.data.splits import check_fraction, stratified_draw, stratified_split
from spikeformer.error_handling import ArgumentError, DataError, check_positive_int
from spikeformer.files import stamp
from spikeformer.files.reading import UnreadableFileError
from spikeformer.i18n import t

CHUNK = 64
"""Recordings whose events are held at once."""


@dataclass(frozen=True)
class Clip:
    """One recording.

    Attributes:
        file: Its file, relative to the data's folder.
        split: "train", "validation" or "test".
        label: The name of its class.
        part: What of the file it is: times from and to in µs, or a number; empty is all.
    """

    file: Path
    split: str
    label: str
    part: tuple[int, ...] = ()


class ClipDataModule(EventDataModule):
    """Recordings in the files of a folder; subclasses say which (`clips`) and `read` one.

    A file that cannot be read is named and left out; the rest goes on. Splits are those that
    `split` names, or else those of the folder; where there is no test or validation split, it is
    drawn from the training split with equal class shares.

    Args:
        path: Folder of the files.
        homepage: Where they can be had, and
        layout: what the folder holds then, for messages; None where they are one's own.
        sensor_size: (height, width) of the sensor; None takes what the files say, or else the
            smallest sensor on which all events lie.
        split: Name of a split in `spikeformer/data/events/splits`, or the path of a YAML file like
            those. Recordings that it does not know, and those that are absent, are named.
        val_fraction: Part of the training split to validate on; 0 validates on nothing.
        test_fraction: Part of the training split to test on, where there is no test split.
        split_seed: Seed of these divisions and of `limit_train`, `limit_test`.
        limit_train: Use only this many recordings for training and validation.
        limit_test: Use only this many recordings for the test.
        **events: The arguments of `EventDataModule`.

    Raises:
        ArgumentError: A value is outside its range.
        DataError: In `setup`, if the folder is absent, nothing in it can be read, or it is not
            what the keys say.
        MissingDependencyError: A package that reads the files is missing.
    """

    named_split: NamedSplit | None

    def __init__(
        self,
        *,
        path: str | None = None,
        homepage: str | None = None,
        layout: str | None = None,
        sensor_size: Sequence[int] | None = None,
        split: str | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        split_seed: int = 0,
        limit_train: int | None = None,
        limit_test: int | None = None,
        **events: Unpack[EventOptions],
    ) -> None:
        super().__init__(**events)
        size = None if sensor_size is None else tuple(sensor_size)
        if size is not None and (len(size) != 2 or min(size) < 1):
            raise ArgumentError("sensor_size", list(size), "[height, width], each at least 1")
        if split_seed < 0:
            raise ArgumentError("split_seed", split_seed, "an integer of at least 0")
        for key, limit in (("limit_train", limit_train), ("limit_test", limit_test)):
            if limit is not None:
                check_positive_int(key, limit)
        self.path, self.homepage, self.layout, self.sensor_size = path, homepage, layout, size
        self.val_fraction = check_fraction("val_fraction", val_fraction)
        self.test_fraction = check_fraction("test_fraction", test_fraction)
        self.split_seed = split_seed
        self.named_split = None if split is None else NamedSplit.read(split)
        self.limit_train, self.limit_test = limit_train, limit_test

    @abstractmethod
    def clips(self) -> list[Clip]:
        """Return the recordings, in an order that does not change."""

    @abstractmethod
    def read(self, clip: Clip) -> RawEvents:
        """Return the events of a recording.

        Raises:
            UnreadableFileError: Its file is damaged, or none of its kind.
        """

    def entry(self, clip: Clip) -> str:
        """Return the path by which the file of a split names a recording."""
        return clip.file.as_posix()

    @property
    def where(self) -> str:
        """The folder, for messages."""
        return repr(self.path)

    @property
    def folder(self) -> Path:
        """The folder of the files.

        Raises:
            DataError: There is none.
        """
        folder = Path(self.path or "").expanduser()
        if self.path is None or not folder.is_dir():
            if self.homepage is None:
                raise DataError(t("data.events_no_folder", path=self.path))
            place = {"homepage": self.homepage, "layout": self.layout}
            raise DataError(t("data.events_not_there", path=self.path, **place))
        return folder

    def data_files(self) -> list[Path]:
        """Return the files that are read."""
        told = self.left_out  # by `setup`, which knows more
        files = sorted({self.folder / clip.file for clip in self.clips()})
        self.left_out = told
        return files if self.named_split is None else [*files, self.named_split.path]

    def load(self) -> Splits:
        """Read the files and make their frames, or take them from the cache."""
        found = self.clips()
        if self.named_split is not None:
            found = self.named_split.divided(found, self.entry, self.where, self.left_out)
        frames, kept = self._frames(found)
        clips = [clip for clip, there in zip(found, kept, strict=True) if there]
        if not clips:
            raise DataError(t("data.events_nothing_read", where=self.where, files=self.left_out))
        names = self._names(clips)
        self.check_classes(names)
        if len(names) == 1:
            raise DataError(t("data.single_class", where=self.where, name=names[0]))
        numbers = {name: number for number, name in enumerate(names)}
        labels = np.array([numbers[clip.label] for clip in clips], np.int64)
        places = self._divided(clips, labels)
        for name, indices in places.items():
            if not len(indices):
                raise DataError(t("data.empty_split", split=name, where=self.where))
        built = {
            name: self.batches(frames[indices], torch.from_numpy(labels[indices]))
            for name, indices in places.items()
        }
        train = self.training_batches(
            built["train"].inputs,
            built["train"].targets,
            lambda: self._recordings([clips[i] for i in places["train"]], found),
        )
        return Splits(train, built.get("val"), built["test"], names)

    def _names(self, clips: Sequence[Clip]) -> list[str]:
        """Return the classes, numbers in their order, or as the network knows them."""
        found = sorted({clip.label for clip in clips}, key=_by_number)
        known = [] if self.given is None else self.given.class_names
        return list(known) if known and set(found) <= set(known) else found

    def _divided(self, clips: Sequence[Clip], labels: Any) -> dict[str, Any]:
        """Return the indices of each split."""
        splits = np.array([clip.split for clip in clips])
        places = {
            name: np.flatnonzero(splits == split)
            for name, split in (("train", "train"), ("val", "validation"), ("test", "test"))
        }
        if not len(places["test"]) and self.named_split is None:
            places["train"], places["test"] = self._drawn(places["train"], labels, "test")
        elif self.limit_test and self.limit_test < len(places["test"]):
            drawn = stratified_draw(labels[places["test"]], self.limit_test, self.split_seed)[0]
            places["test"] = places["test"][drawn]
        if self.limit_train and self.limit_train < len(places["train"]):
            drawn = stratified_draw(labels[places["train"]], self.limit_train, self.split_seed)[0]
            places["train"] = places["train"][drawn]
        if not self.val_fraction:
            del places["val"]
        elif not len(places["val"]):
            places["train"], places["val"] = self._drawn(places["train"], labels, "val")
        return places

    def _drawn(self, train: Any, labels: Any, name: str) -> tuple[Any, Any]:
        fraction = self.test_fraction if name == "test" else self.val_fraction
        drawn, rest = stratified_split(labels[train], fraction, self.split_seed)
        return train[rest], train[drawn]

    def _frames(self, clips: Sequence[Clip]) -> tuple[Tensor, Tensor]:
        """Return the frames of the clips that can be read, and which these are."""
        if self.cache is None:
            return self._read_all(clips)
        files = {clip.file: stamp(self.folder / clip.file) for clip in clips}
        key = content_key(
            [(str(c.file), files[c.file], c.part) for c in clips],
            str(self.folder.resolve()),
            (type(self), self.sensor_size, vars(self.representation)),
        )
        frames = self.cache.get_tensor(f"{key}-frames")
        kept = self.cache.get_tensor(f"{key}-kept")
        if frames is None or kept is None:
            frames, kept = self._read_all(clips)
            self.cache.put_tensor(f"{key}-frames", frames)
            self.cache.put_tensor(f"{key}-kept", kept)
        else:
            # What is wrong with the others is said in every run.
            for clip in (clip for clip, there in zip(clips, kept, strict=True) if not there):
                self._events(clip)
        return frames, kept

    def _read_all(self, clips: Sequence[Clip]) -> tuple[Tensor, Tensor]:
        size = self.sensor_size or self._least_size(clips)
        frames, kept, held = [], [], []
        for clip, events in self._progress(clips):
            recording = None if events is None else self._on_sensor(clip, events, size)
            kept.append(recording is not None)
            if recording is not None:
                held.append(recording)
            if len(held) == CHUNK:
                frames.append(self.representation(Recordings.join(held)))
                held = []
        if held:
            frames.append(self.representation(Recordings.join(held)))
        return torch.cat(frames) if frames else torch.zeros(0), torch.tensor(kept)

    def _recordings(self, clips: Sequence[Clip], found: Sequence[Clip]) -> Recordings:
        """Return the events of clips, which can be read, on the sensor of all that were found."""
        size = self.sensor_size or self._least_size(found)
        shape = self.representation.height, self.representation.width
        return Recordings.join([self.read(clip).on(size).resized(*shape) for clip in clips])

    def _least_size(self, clips: Sequence[Clip]) -> tuple[int, int]:
        """Return the size that the files say, or the smallest with all events."""
        left_out, self.left_out = self.left_out, type(self.left_out)()
        sizes = [events.least_size for _, events in self._progress(clips) if events is not None]
        self.left_out = left_out
        return max((s[0] for s in sizes), default=1), max((s[1] for s in sizes), default=1)

    def _progress(self, clips: Sequence[Clip]) -> Iterator[tuple[Clip, RawEvents | None]]:
        for clip in tqdm(clips, t("data.reading_events"), delay=1.0, leave=False):
            yield clip, self._events(clip)

    def _events(self, clip: Clip) -> RawEvents | None:
        """Return the events of a clip, or note why it is left out."""
        try:
            return self.read(clip)
        except (UnreadableFileError, OSError) as error:
            reason = error.reason if isinstance(error, UnreadableFileError) else error
            self.left_out.add("broken_recording", f"{clip.file}: {reason}")
            return None

    def _on_sensor(self, clip: Clip, events: RawEvents, size: Any) -> Recordings | None:
        try:
            return events.on(size)
        except ArgumentError:
            found = " x ".join(map(str, events.least_size))
            reason = t("data.events_outside", found=found, size=" x ".join(map(str, size)))
            self.left_out.add("broken_recording", f"{clip.file}: {reason}")
            return None


def _by_number(name: str) -> tuple[bool, int, str]:
    """Sort numbers by their value, and before names."""
    return (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)
