"""Which files of a folder are read, to which split and class each belongs, and what is left out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spikeformer.error_handling import DataError
from spikeformer.i18n import format_list, format_number, t

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
_COMPANIONS = "set|split|data|dataset|images?|imgs?|pictures?|samples?|files?"
"""What stands beside a split's name in the name of its folder, as in `test_set`."""


@dataclass
class LeftOut:
    """The files and folders that were not read, by the reason.

    Example:
        >>> left_out = LeftOut()
        >>> left_out.add("hidden", ".DS_Store")
        >>> str(left_out)
        '1 hidden (.DS_Store)'
    """

    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, name: str) -> None:
        """Note a file or folder; `reason` is a part of the message's key."""
        self.names.setdefault(reason, []).append(name)

    def __str__(self) -> str:
        return "; ".join(self._told(reason, names) for reason, names in self.names.items())

    def __bool__(self) -> bool:
        return bool(self.names)

    @staticmethod
    def _told(reason: str, names: list[str]) -> str:
        some = ", ".join([*names[:3], *(["..."] if len(names) > 3 else [])])
        count = format_number(len(names))
        return t(f"data.left_out_{reason}", count=count, names=some)


def split_of_folder(name: str) -> str | None:
    """Return the split that a folder's whole name tells, or None.

    Case, blanks, years and words such as "set" do not count.

    Example:
        >>> split_of_folder("Test"), split_of_folder("val2017"), split_of_folder("latest")
        ('test', 'validation', None)
    """
    plain = re.sub(r"[\W_]+", " ", name.lower()).strip()
    words = "|".join(sorted(SPLIT_WORDS, key=len, reverse=True))
    found = re.fullmatch(rf"(?:(?:{_COMPANIONS}) )?({words}) ?(?:{_COMPANIONS})? ?\d*", plain)
    return SPLIT_WORDS[found[1]] if found else None


def split_of_table(inside: Path) -> str | None:
    """Return the split that a table's name tells, or else the folders that it lies in.

    A name with words of two splits, as `train_and_test.csv`, tells none.
    """
    words = re.split(r"[^a-z]+", inside.stem.lower())
    told = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
    if told:
        return told.pop() if len(told) == 1 else None
    folders = [split_of_folder(name) for name in reversed(inside.parts[:-1])]
    return next((split for split in folders if split), None)


def files_below(root: Path, left_out: LeftOut) -> list[Path]:
    """Return the files in a folder and its folders, relative to it and sorted.

    Hidden files and folders, what archives of macOS bring along, and folders that are links are
    left out.
    """
    found: list[Path] = []
    for place, folders, files in os.walk(root):
        here = Path(place).relative_to(root)
        for name in sorted(folders):
            linked = (root / here / name).is_symlink()
            if linked or _is_hidden(name):
                folders.remove(name)
                left_out.add("link" if linked else "hidden", f"{here / name}{os.sep}")
        folders.sort()
        for name in files:
            if _is_hidden(name):
                left_out.add("hidden", str(here / name))
            elif (root / here / name).is_file():
                found.append(here / name)
    return sorted(found)


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX", "~$")) or name in ("Thumbs.db", "desktop.ini")


def splits_of_tables(path: Path, files: Sequence[Path], left_out: LeftOut) -> dict[str, list[Path]]:
    """Group tables by the split that their names or folders tell.

    Tables of which none, or all, name one and the same split are training data, to be divided.

    Args:
        path: The folder that they lie in.
        files: Paths of the tables, relative to it.
        left_out: Notes tables beside others that do name a split.

    Raises:
        DataError: One file is in two splits.
    """
    groups: dict[str, list[Path]] = {}
    for file in files:
        groups.setdefault(split_of_table(file) or "", []).append(file)
    unnamed = groups.pop("", [])
    if not groups or (len(groups) == 1 and not unnamed):
        return {"train": list(files)}
    if "train" not in groups and unnamed:
        groups = {"train": unnamed, **groups}
    else:
        for file in unnamed:
            left_out.add("no_split", str(file))
    owners: dict[Path, str] = {}
    for split, members in groups.items():
        for file in members:
            owner = owners.setdefault((path / file).resolve(), split)
            if owner != split:
                raise DataError(t("data.file_in_two_splits", file=file, one=owner, other=split))
    return groups


@dataclass(frozen=True)
class Picture:
    """A file of an image folder.

    Attributes:
        file: Its path, relative to the folder.
        split: "train", "validation" or "test".
        label: The name of its class.
    """

    file: Path
    split: str
    label: str


def arrange_images(where: str, files: Iterable[Path], left_out: LeftOut) -> list[Picture]:
    """Tell split and class of the files of an image folder by the folders they lie in.

    Folders are splits where one is named as training data, one beside it as validation or test
    data (or nothing else is there), and the training data's holds folders of classes. A class is
    the next folder below; what lies deeper belongs to it. Folders around everything do not count.

    Args:
        where: The image folder, for messages.
        files: Paths of images, relative to it.
        left_out: Notes images that have no class or split.

    Raises:
        DataError: The folders tell no classes, or may mean two things.
    """
    files = list(files)
    depth = _common_depth(files)
    if depth and len({file.parts[depth] for file in files if len(file.parts) > depth + 1}) < 2:
        depth -= 1  # the folder around everything holds images: it is a class
    level: dict[str, list[Path]] = {}
    for file in files:
        inner = file.parts[depth:]
        if len(inner) == 1:
            left_out.add("no_class", str(file))
        else:
            level.setdefault(inner[0], []).append(file)
    pictures = [
        Picture(file, split, label)
        for split, members in _by_split(level, depth, left_out).items()
        for file, label in members
    ]
    if not pictures:
        raise DataError(t("data.no_class_folders", where=where))
    _check_same_folders(where, pictures, depth)
    return pictures


def _common_depth(files: Sequence[Path]) -> int:
    """Return how many folders lie around everything; a split's folder is none of them."""
    depth = 0
    while True:
        names = {file.parts[depth] for file in files if len(file.parts) > depth + 1}
        whole = all(len(file.parts) > depth + 1 for file in files)
        if not whole or len(names) != 1:
            return depth
        if split_of_folder(next(iter(names))) is not None:
            return depth
        depth += 1


def _by_split(
    level: dict[str, list[Path]], depth: int, left_out: LeftOut
) -> dict[str, list[tuple[Path, str]]]:
    """Return file and class of each image by its split."""
    splits = {name: split for name in level if (split := split_of_folder(name)) is not None}
    if not _are_splits(level, splits, depth):
        return {"train": [(file, file.parts[depth]) for name in level for file in level[name]]}
    found: dict[str, list[tuple[Path, str]]] = {}
    for name, members in level.items():
        if name not in splits:
            left_out.add("no_split", f"{name}{os.sep}")
            continue
        for file in members:
            if len(file.parts) == depth + 2:
                left_out.add("no_class", str(file))
            else:
                found.setdefault(splits[name], []).append((file, file.parts[depth + 1]))
    return found


def _are_splits(level: dict[str, list[Path]], splits: dict[str, str], depth: int) -> bool:
    """Tell splits from classes that are named as splits."""

    def classes(names: Iterable[str]) -> set[str]:
        files = (file.parts for name in names for file in level[name])
        return {parts[depth + 1] for parts in files if len(parts) > depth + 2}

    training = classes(name for name, split in splits.items() if split == "train")
    if not training:
        return False
    others = [name for name in level if splits.get(name) != "train"]
    if not others or any(name in splits for name in others):
        return True
    return bool(training & classes(others))


def _check_same_folders(where: str, pictures: Sequence[Picture], depth: int) -> None:
    """Refuse classes that hold the same folders: they may be parts of the data, not classes."""
    inner: dict[str, set[str]] = {}
    for picture in pictures:
        parts = picture.file.parts[depth:]
        if parts[0] == picture.label:
            inner.setdefault(picture.label, set()).update(parts[1:-1][:1])
    if len(inner) > 1 and len(shared := set.intersection(*inner.values())) > 1:
        raise DataError(
            t(
                "data.folders_alike",
                where=where,
                folders=format_list(sorted(inner)[:4]),
                inside=format_list(sorted(shared)[:4]),
            )
        )
