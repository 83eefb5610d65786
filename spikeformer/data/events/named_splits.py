"""Divisions of sets into training, validation and test: files that name every recording."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from spikeformer.data.layout import LeftOut
from spikeformer.error_handling import DataError
from spikeformer.files import UnreadableFileError, file_hash, read_yaml
from spikeformer.i18n import t

if TYPE_CHECKING:
    from spikeformer.data.events.clips import Clip

FOLDER = Path(__file__).parent / "splits"
PARTS = ("validation", "test")
"""The parts that a file names; the rest of `all` is the training split."""
Key = tuple[str, int]
"""A recording: its group, which is a class or a folder, and its number there."""


@dataclass(frozen=True)
class SplitFile:
    """What a file of a split says.

    Numbers are given as in "3 17 25-28", by the group of recordings that they count: a class, a
    folder, or what else the names of the set's files tell.

    Attributes:
        about: What the set and the split are, and who uses it.
        files: Path of a recording without its ending, with `{group}` and `{number}`, and `*` for
            what does not matter; folders above are free.
        all: Every recording of the set.
        test: Those of the test split.
        validation: Those of the validation split. What is in neither is trained on.

    Example:
        >>> split = SplitFile("digits", "{group}/digit_{number}", {"a": "0-9"}, {"a": "3 7-9"})
        >>> split.key("set/a/digit_0007.npz"), sorted(split.parts[("a", n)] for n in (6, 7))
        (('a', 7), ['test', 'train'])
    """

    about: str
    files: str
    all: dict[str, str | int]
    test: dict[str, str | int]
    validation: dict[str, str | int] = field(default_factory=dict)

    @cached_property
    def parts(self) -> dict[Key, str]:
        """The split of every recording.

        Raises:
            ValueError: Ranges are none, a recording is in two splits, or not in `all`.
        """
        found = dict.fromkeys(_keys(self.all), "train")
        for part in PARTS:
            for key in _keys(getattr(self, part)):
                if found.get(key) != "train":
                    raise ValueError(f"{part}: {key[0]} {key[1]}: {found.get(key)}")
                found[key] = part
        return found

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        words = {r"\{group\}": r"(?P<group>[^/]+?)", r"\{number\}": r"(?P<number>\d+)"}
        pattern = re.escape(self.files).replace(r"\*", "[^/]*?")
        for word, expression in words.items():
            pattern = pattern.replace(word, expression, 1)
        return re.compile(rf"(?:.*/)?{pattern}(?:\.\w+)?")

    def key(self, path: str) -> Key | None:
        """Return what a path names, or None if it is no recording of the set."""
        found = self._pattern.fullmatch(path)
        return (found["group"], int(found["number"])) if found else None


@dataclass(frozen=True)
class NamedSplit:
    """A split, with what a run records of it.

    Attributes:
        name: As in `data.split`.
        path: Its file.
        sha256: Of the file.
        content: What it says.
    """

    name: str
    path: Path
    sha256: str
    content: SplitFile

    def __str__(self) -> str:
        return f"{self.name} sha256:{self.sha256}"

    @classmethod
    def read(cls, name: str) -> NamedSplit:
        """Return a split by its name, or by the path of a file of one's own.

        Raises:
            DataError: There is none.
            UnreadableFileError: The file says nothing, or contradicts itself.
        """
        own = Path(name).expanduser()
        path = own if own.suffix in (".yaml", ".yml") else FOLDER / f"{name}.yaml"
        if not path.is_file() or (path != own and path.parent != FOLDER):
            known = ", ".join(sorted(each.stem for each in FOLDER.glob("*.yaml")))
            raise DataError(t("data.events_no_such_split", name=name, known=known))
        content = read_yaml(path, SplitFile)
        try:
            _ = content.parts
            if not {"group", "number"} <= content._pattern.groupindex.keys():
                raise ValueError(content.files)
        except ValueError as error:
            reason = t("data.events_split_contradicts", found=error)
            raise UnreadableFileError(path, "YAML", reason) from error
        return cls(name, path, file_hash(path), content)

    def divided(
        self, clips: Sequence[Clip], entry: Callable[[Clip], str], where: str, left_out: LeftOut
    ) -> list[Clip]:
        """Return the clips in the splits that the file says.

        Args:
            clips: What the folder holds; the clips of one file are in one split.
            entry: Returns the path by which the file names a clip.
            where: The folder, for messages.
            left_out: Notes what only the folder or only the file has, and second copies.

        Raises:
            DataError: The file knows nothing of the folder.
        """
        parts, kept = self.content.parts, []
        owners: dict[Key, Path] = {}
        for clip in clips:
            key = self.content.key(entry(clip))
            if key is None or key not in parts:
                left_out.add("unknown", entry(clip))
            elif owners.setdefault(key, clip.file) != clip.file:
                left_out.add("twice", entry(clip))
            else:
                kept.append(replace(clip, split=parts[key]))
        if not kept:
            files = self.content.files
            raise DataError(
                t("data.events_split_foreign", name=self.name, where=where, files=files)
            )
        for group, number in (key for key in parts if key not in owners):
            named = self.content.files.replace("{group}", group)
            left_out.add("absent", named.replace("{number}", str(number)))
        return kept


def _keys(groups: Mapping[str, str | int]) -> Iterable[Key]:
    for group, ranges in groups.items():
        for number in parse_ranges(str(ranges)):
            yield group, number


def parse_ranges(text: str) -> list[int]:
    """Return the numbers that ranges name.

    Raises:
        ValueError: The text is something else.

    Example:
        >>> parse_ranges("3 17 25-28")
        [3, 17, 25, 26, 27, 28]
    """
    numbers: list[int] = []
    for word in text.split():
        first, _, last = word.partition("-")
        if not re.fullmatch(r"\d+(-\d+)?", word) or int(last or first) < int(first):
            raise ValueError(word)
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def format_ranges(numbers: Iterable[int]) -> str:
    """Return numbers as ranges, ascending.

    Example:
        >>> format_ranges([28, 3, 25, 26, 27])
        '3 25-28'
    """
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
