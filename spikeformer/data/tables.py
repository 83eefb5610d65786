"""The base of the data modules that read tables: hub sets, parquet, CSV, JSON, image folders."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from torch.utils.data import Dataset

from spikeformer.compliance import ConsentGate
from spikeformer.data.columns import (
    check_classes,
    class_names_of,
    files_named_in,
    input_column,
    label_column,
    labels_of,
)
from spikeformer.data.datamodule import SpikingDataModule, Splits
from spikeformer.data.layout import LeftOut
from spikeformer.data.preparation import check_known
from spikeformer.data.sources import Tables, files_of, folder_of, load_tables, roots_of
from spikeformer.data.splits import Indices, check_fraction, stratified_draw, stratified_split
from spikeformer.data.subjects import People, nobody_left, with_consent, without
from spikeformer.error_handling import ArgumentError, DataError, check_positive_int
from spikeformer.files import UnsafePathError, inside
from spikeformer.i18n import t

VALIDATION_NAMES = ("validation", "val", "valid", "dev")


class TableOptions(TypedDict, total=False):
    """Keyword arguments that every `TableDataModule` takes; documented there."""

    source: str | None
    path: str | None
    subset: str | None
    format: str
    label_key: str | None
    num_classes: int | None
    train_split: str
    val_split: str | None
    test_split: str | None
    val_fraction: float
    test_fraction: float
    split_seed: int
    limit_train: int | None
    limit_test: int | None
    cache_dir: str | None
    batch_size: int
    num_workers: int | None
    seed: int


@dataclass
class Part:
    """One split before its samples are turned into tensors.

    Attributes:
        name: "train", "val" or "test".
        table: A `datasets.Dataset`.
        labels: (samples,) class of each sample; zeros if the task has no classes.
        people: (samples,) the person of each sample, where they are asked for their consent.
        roots: Folders in which the files must lie that cells of the table name.
        label_key: Column of the classes; None if the task has none.
    """

    name: str
    table: Any
    labels: Indices
    people: People | None = None
    roots: tuple[Path, ...] = (Path(),)
    label_key: str | None = None

    def pick(self, indices: Indices, name: str | None = None) -> Part:
        """The samples at `indices`."""
        people = None if self.people is None else self.people[indices]
        table, labels = self.table.select(indices), self.labels[indices]
        return replace(self, name=name or self.name, table=table, labels=labels, people=people)

    def column(self, kind: str, override: str | None) -> str:
        """The column that holds the "image", "audio" or "text" of each sample.

        Args:
            kind: What to look for.
            override: The name, if the person gives one.

        Raises:
            DataError: None fits, or several do.
        """
        return input_column(self.table, kind, override, self.label_key)


class TableDataModule(SpikingDataModule):
    """Reads tables and chooses the splits; subclasses turn a `Part` into tensors (`build`).

    The training split is divided with equal class shares where the source brings no validation
    or test split. A test split published without labels (all -1) is left alone and the
    validation split is tested on instead; validation samples then come from the training split.

    Args:
        source: Name of a set on the Hugging Face hub; used if `path` is None.
        path: Folder or file with the data instead; its split is read off file and folder names
            (train, validation, test). All of it is training data if they tell nothing, or one
            split alone.
        subset: Configuration of the hub set, where it has several.
        format: "parquet", "csv", "json", "text" (whose samples are lines) or "image_folder"; "auto"
            goes by the file names.
        label_key: Column of the classes; None finds it by its type.
        num_classes: Number of classes, checked against the data; None takes what the data has.
        train_split: Name of the training split.
        val_split: Name of the validation split; None finds it, or divides the training split.
        test_split: Name of the test split; None finds it, or divides the training split.
        val_fraction: Part of the training split to validate on; 0 validates on nothing, also
            where the source has a validation split.
        test_fraction: Part of the training split to test on, where the source has nothing else.
        split_seed: Seed of these divisions and of `limit_train`, `limit_test`.
        limit_train: Use only this many samples for training and validation taken from it.
        limit_test: Use only this many samples of the test (and of a separate validation) split.
        cache_dir: Folder of the prepared copies; None leaves the choice to `datasets`.
        batch_size: Samples per batch and process.
        num_workers: Loader processes; None takes as many as the data need, see `SpikingDataModule`.
        seed: Seed of the shuffling and the augmentation.

    Raises:
        ArgumentError: A value is outside its range.
        DataError: In `setup`, if the data is absent, unreadable or not what the keys say.
    """

    gate: ConsentGate | None = None
    """Whom to leave out for want of consent; set before `setup`."""
    _people: dict[str, People | None]
    _named: frozenset[str] = frozenset()

    def __init__(
        self,
        *,
        source: str | None = None,
        path: str | None = None,
        subset: str | None = None,
        format: str = "auto",  # noqa: A002, the key's name in the configuration
        label_key: str | None = None,
        num_classes: int | None = None,
        train_split: str = "train",
        val_split: str | None = None,
        test_split: str | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.2,
        split_seed: int = 0,
        limit_train: int | None = None,
        limit_test: int | None = None,
        cache_dir: str | None = None,
        batch_size: int = 64,
        num_workers: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size=batch_size, num_workers=num_workers, seed=seed)
        named = [name for name in (train_split, val_split, test_split) if name is not None]
        if len(set(named)) < len(named):
            raise ArgumentError("val_split", val_split, "three different splits")
        if source is None and path is None:
            raise ArgumentError("source", None, "the name of a hub set, unless `path` is given")
        if split_seed < 0:
            raise ArgumentError("split_seed", split_seed, "an integer of at least 0")
        for key, limit in (("limit_train", limit_train), ("limit_test", limit_test)):
            if limit is not None:
                check_positive_int(key, limit)
        if num_classes is not None:
            check_positive_int("num_classes", num_classes)
        self.source, self.path, self.subset, self.format = source, path, subset, format
        self.label_key, self.configured_classes = label_key, num_classes
        self.train_split, self.val_split, self.test_split = train_split, val_split, test_split
        self.val_fraction = check_fraction("val_fraction", val_fraction)
        self.test_fraction = check_fraction("test_fraction", test_fraction)
        self.split_seed, self.cache_dir = split_seed, cache_dir
        self.limit_train, self.limit_test = limit_train, limit_test

    @property
    def num_classes(self) -> int:
        """Number of classes: as configured, else as found by `setup`."""
        return self.configured_classes or len(self.class_names)

    @property
    def needs_labels(self) -> bool:
        """Whether the task has classes."""
        return True

    @property
    def where(self) -> str:
        """The data's place, for messages."""
        return repr(self.path if self.path is not None else self.source)

    @abstractmethod
    def build(self, parts: dict[str, Part]) -> dict[str, Dataset[Any]]:
        """Turn the parts, "train" among them, into datasets of tensors under the same names."""

    def load(self) -> Splits:
        """Read the tables, choose the splits and build them."""
        source = load_tables(
            self.source,
            self.path,
            subset=self.subset,
            format=self.format,
            cache_dir=self.cache_dir,
        )
        tables, self.left_out = source.tables, source.left_out
        people: dict[str, People] = {}
        if self.gate is not None:
            tables, people = with_consent(tables, self.gate, self.where)
        classes, parts = self._label(tables)
        for name, part in parts.items():
            part.people, part.roots = people.get(name), roots_of(self.path, self.cache_dir)
        check_classes(self.configured_classes if self.needs_labels else None, classes, self.where)
        self._named = frozenset().union(*(files_named_in(table) for table in tables.values()))
        chosen = self._choose(parts)
        built = self.build(chosen)
        self._people = {name: part.people for name, part in chosen.items()}
        return Splits(built["train"], built.get("val"), built["test"], classes)

    def data_files(self) -> list[Path]:
        """Return the files in `path` that are read, after `setup` those that they name too."""
        if self.path is None:
            return []
        path = Path(self.path).expanduser()
        folder = folder_of(path)
        files = {folder / file for file in files_of(path, self.format, LeftOut())[1]}
        for name in self._named:
            with suppress(UnsafePathError, OSError):  # no path, or one that is not read
                if inside(folder, name).is_file():
                    files.add(folder / name)
        return sorted(files)

    def leave_out(self, gone: Collection[str]) -> None:
        """Go on without the samples of some people, from the next loaders on.

        Raises:
            DataError: Nothing is left of a split.
        """
        for name, people in self._people.items():
            if people is None or self.gate is None:
                continue
            kept: Any = without(getattr(self.splits, name), people, gone)
            if not len(kept):
                raise nobody_left(name, self.gate, self.where)
            setattr(self.splits, name, kept)
            self._people[name] = people[kept.indices]

    def _label(self, tables: Tables) -> tuple[list[str], dict[str, Part]]:
        """Class names, and the splits that have labels."""
        for key in ("train_split", "val_split", "test_split"):
            name = getattr(self, key)
            if name is not None and name not in tables:
                raise DataError(
                    t(
                        "data.no_such_split",
                        key=key,
                        name=name,
                        where=self.where,
                        splits=", ".join(map(repr, tables)),
                    )
                )
        if not self.needs_labels:
            parts = {
                name: Part(name, table, np.zeros(len(table), np.int64))
                for name, table in tables.items()
            }
            return [], parts
        train = tables[self.train_split]
        column = label_column(train, self.label_key)
        classes = self._classes(class_names_of(train, column))
        if labels_of(train, column, classes, self.train_split) is None:
            raise DataError(t("data.train_has_no_labels", split=self.train_split, where=self.where))
        parts = {}
        for name, table in tables.items():
            labels = labels_of(table, column, classes, name)
            if labels is not None:
                parts[name] = Part(name, table, labels, label_key=column)
        if len(classes) == 1:
            raise DataError(t("data.single_class", where=self.where, name=classes[0]))
        return classes, parts

    def _classes(self, found: list[str]) -> list[str]:
        """Return the names in the order that the network knows, if it was trained before."""
        known = [] if self.given is None else self.given.class_names
        if not known or (self.trains_on and set(found) != set(known)):
            return found
        check_known(found, known)
        return list(known)

    def _choose(self, parts: dict[str, Part]) -> dict[str, Part]:
        train = self._limit(parts[self.train_split], self.limit_train)
        # No two of them are the same split, whatever they are called.
        asked = {self.train_split, self.val_split, self.test_split}
        val = _first(
            parts,
            [self.val_split] if self.val_split else [n for n in VALIDATION_NAMES if n not in asked],
        )
        test = _first(
            parts,
            [self.test_split] if self.test_split else {"test"} - asked,
        )
        if self.test_split and test is None:
            raise DataError(t("data.test_has_no_labels", split=self.test_split, where=self.where))
        if test is None:
            val, test = None, val
        if test is None:
            train, test = self._divide(train, self.test_fraction, "test")
        elif self.limit_test:
            test = self._limit(test, self.limit_test)
        if self.val_fraction == 0:
            val = None
        elif val is None:
            train, val = self._divide(train, self.val_fraction, "val")
        else:
            val = self._limit(val, self.limit_test)
        chosen = {"train": train, "val": val, "test": test}
        named = {name: replace(p, name=name) for name, p in chosen.items() if p is not None}
        for name, part in named.items():
            if len(part.labels) == 0:
                raise DataError(t("data.empty_split", split=name, where=self.where))
        return named

    def _limit(self, part: Part, limit: int | None) -> Part:
        if limit is None or limit >= len(part.labels):
            return part
        return part.pick(stratified_draw(part.labels, limit, self.split_seed)[0])

    def _divide(self, part: Part, fraction: float, name: str) -> tuple[Part, Part]:
        taken, rest = stratified_split(part.labels, fraction, self.split_seed)
        return part.pick(rest), part.pick(taken, name)


def _first(parts: dict[str, Part], names: Iterable[str]) -> Part | None:
    return next((parts[name] for name in names if name in parts), None)
