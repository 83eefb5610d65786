"""Event sets as they are published, and folders of one's own."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from spikeformer.data.events.clips import Clip, ClipDataModule
from spikeformer.data.events.files import READERS, RawEvents, read_events
from spikeformer.data.events.files.raw import foreign
from spikeformer.data.layout import arrange_images, files_below
from spikeformer.data.sources import optional_import
from spikeformer.error_handling import DataError
from spikeformer.files.reading import NO_ARRAYS, UnreadableFileError
from spikeformer.i18n import t

GESTURES = (
    "hand clapping",
    "right hand wave",
    "left hand wave",
    "right arm clockwise",
    "right arm counter clockwise",
    "left arm clockwise",
    "left arm counter clockwise",
    "arm roll",
    "air drums",
    "air guitar",
    "other gestures",
)
COCHLEA = (1, 700)
"""Rows and columns of the channels of the Heidelberg sets: a line of 700."""
LONGEST = 1e9
"""Seconds; later times, and those that are no numbers, are damaged."""


class EventFolderDataModule(ClipDataModule):
    """Recordings in one folder for each class, or in train/ and test/ with these inside.

    Files are those of `spikeformer.data.events.files.READERS`: `.bin` of N-MNIST and N-Caltech101,
    AEDAT 2, 3.1 and 4, Prophesee's `.dat` and `.raw`, `.npz`, `.npy` and `.csv`.

    It takes the arguments of `ClipDataModule`.

    Example:
        >>> data = EventFolderDataModule(path="/data/N-MNIST", sensor_size=(34, 34))
        >>> data.representation.timesteps
        10
    """

    def clips(self) -> list[Clip]:
        """Return the files in class folders."""
        files = []
        self.left_out = type(self.left_out)()
        for file in files_below(self.folder, self.left_out):
            if file.suffix.lower() in READERS:
                files.append(file)
            else:
                self.left_out.add("other_kind", str(file))
        if not files:
            endings = ", ".join(READERS)
            raise DataError(t("data.events_no_files", path=self.path, endings=endings))
        pictures = arrange_images(self.where, files, self.left_out)
        found = [Clip(p.file, p.split, p.label) for p in pictures]
        return sorted(found, key=lambda clip: clip.file)

    def read(self, clip: Clip) -> RawEvents:
        """Read a file."""
        return read_events(self.folder / clip.file)


class DvsGestureDataModule(ClipDataModule):
    """DVS128 Gesture: 11 gestures of 29 people, 1,342 clips in recordings of several minutes.

    The folder is that of the archive: `trials_to_train.txt` and `trials_to_test.txt` name AEDAT 3.1
    files, and a table of the name `..._labels.csv` beside each has the class, 1 to 11, the start
    and the end of its clips in µs.

    It takes the arguments of `ClipDataModule`.

    Source: Amir et al., *A Low Power, Fully Event-Based Gesture Recognition System*, CVPR 2017.
    """

    _open: tuple[Path, RawEvents] | None = None

    def clips(self) -> list[Clip]:
        """Return the clips that the tables name."""
        found: list[Clip] = []
        self.left_out = type(self.left_out)()
        for split in ("train", "test"):
            trials = self.folder / f"trials_to_{split}.txt"
            if not trials.is_file():
                files = "trials_to_train.txt, trials_to_test.txt"
                raise DataError(t("data.events_no_files", path=self.path, endings=files))
            for line in trials.read_text(encoding="utf-8").split():
                found += self._in_trial(Path(line), split)
        return found

    def _in_trial(self, file: Path, split: str) -> list[Clip]:
        table = self.folder / file.with_name(f"{file.stem}_labels.csv")
        if not (self.folder / file).is_file() or not table.is_file():
            self.left_out.add("broken_recording", f"{file}: {t('data.events_absent')}")
            return []
        try:
            with table.open(newline="", encoding="utf-8") as opened:
                rows = [tuple(map(int, row[:3])) for row in list(csv.reader(opened))[1:] if row]
            return [
                Clip(file, split, GESTURES[what - 1], (start, end)) for what, start, end in rows
            ]
        except (ValueError, IndexError, csv.Error) as error:
            self.left_out.add("broken_recording", f"{table.name}: {error}")
            return []

    def read(self, clip: Clip) -> RawEvents:
        """Read a clip's events; the file stays open for the next."""
        if self._open is None or self._open[0] != clip.file:
            self._open = (clip.file, read_events(self.folder / clip.file))
        events = self._open[1]
        start, end = clip.part
        inside = (events.t >= start) & (events.t < end)
        if not inside.any():
            raise UnreadableFileError(clip.file, "AEDAT 3.1", t("data.events_none"))
        x, y, time, p = (getattr(events, name)[inside] for name in "xytp")
        return RawEvents(x, y, time, p, events.size)


class HeidelbergDataModule(ClipDataModule):
    """Spoken digits and commands as spikes of a cochlea: SHD and SSC, in HDF5.

    The folder has files whose names end in `_train.h5`, `_test.h5` and, for SSC, `_valid.h5`. Each
    holds `spikes/times` in s, `spikes/units` from 0 to 699, and `labels`. Frames are (1, channels):
    one row, and as many columns as `image_size` says.

    It takes the arguments of `ClipDataModule`.

    Source: Cramer et al., *The Heidelberg Spiking Data Sets*, IEEE TNNLS 2022,
    doi:10.1109/TNNLS.2020.3044364.
    """

    def clips(self) -> list[Clip]:
        """Return the recordings of all files."""
        found: list[Clip] = []
        self.left_out = type(self.left_out)()
        for split, words in (("train", "train"), ("validation", "valid"), ("test", "test")):
            for path in sorted(self.folder.glob(f"*_{words}.h5")):
                file = path.relative_to(self.folder)
                try:
                    names = self._labels(path)
                except NO_ARRAYS as error:
                    self.left_out.add("broken_recording", f"{file}: {error}")
                    continue
                found += [Clip(file, split, name, (i,)) for i, name in enumerate(names)]
        if not any(clip.split == "train" for clip in found):
            raise DataError(t("data.events_no_files", path=self.path, endings="_train.h5"))
        return found

    def entry(self, clip: Clip) -> str:
        """Return the file without its ending, and the number of the recording in it."""
        return f"{clip.file.with_suffix('').as_posix()}/{clip.part[0]}"

    def _labels(self, path: Path) -> list[str]:
        with _hdf5(path) as file:
            labels = np.asarray(file["labels"], np.int64)
            keys = file["extra/keys"][:] if "extra/keys" in file else []
            names = [key.decode() if isinstance(key, bytes) else str(key) for key in keys]
            return [names[label] if 0 <= label < len(names) else str(label) for label in labels]

    def read(self, clip: Clip) -> RawEvents:
        """Read one recording."""
        path = self.folder / clip.file
        try:
            with _hdf5(path) as file:
                seconds = np.asarray(file["spikes/times"][clip.part[0]], np.float64)
                units = np.asarray(file["spikes/units"][clip.part[0]], np.int64)
        except NO_ARRAYS as error:
            raise UnreadableFileError(path, "HDF5", error) from error
        if len(units) != len(seconds) or not (np.abs(seconds) < LONGEST).all():
            raise foreign(path, "HDF5", f"{len(seconds)} times, {len(units)} units")
        if not len(units):
            raise UnreadableFileError(path, "HDF5", t("data.events_none"))
        time = np.rint(seconds * 1e6).astype(np.int64)
        return RawEvents(units, np.zeros_like(units), time, np.ones_like(units), COCHLEA)


def _hdf5(path: Path) -> Any:
    return optional_import("h5py", t("data.for_events"), extra="events").File(path, "r")
