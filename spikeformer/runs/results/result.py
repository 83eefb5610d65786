"""What every kind of result has: a file in the run folder, a version, saving and loading."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, get_type_hints

import msgspec
import numpy as np

from spikeformer.files import replacing, write_json
from spikeformer.i18n import t
from spikeformer.runs import reading
from spikeformer.runs.layout import RunFolder


@dataclass(frozen=True)
class Result:
    """What one stage found, one file of a run folder.

    A subclass is a frozen dataclass with plain fields: numbers, texts, lists, dicts, tuples,
    NumPy arrays and other dataclasses. Its file is JSON with these fields and `version`.
    """

    file: ClassVar[str]
    """Its path in the run folder."""

    version: ClassVar[int] = 1
    """Version of the file's fields; files of other versions are refused."""

    def save(self, folder: RunFolder) -> None:
        """Write the file in one step."""
        fields = msgspec.to_builtins(self, enc_hook=_plain)
        write_json(folder.path / self.file, {"version": self.version, **fields})

    @classmethod
    def load(cls, folder: RunFolder) -> Self | None:
        """Read the file; None if it is absent.

        Raises:
            ResultsError: It is of another version, or holds something else.
        """
        path = folder.path / cls.file
        content = reading.json_object(path)
        if content is None:
            return None
        cls.check_version(content.pop("version", None), path)
        cls._restore_nan(content)
        try:
            return msgspec.convert(content, cls, dec_hook=_array)
        except (msgspec.ValidationError, OverflowError, RecursionError) as error:
            raise reading.broken(path, "JSON", error) from error

    @classmethod
    def _restore_nan(cls, content: dict[str, Any]) -> None:
        """Read null among named numbers as NaN, which strict writers of JSON write as null."""
        for name, kind in get_type_hints(cls).items():
            if kind == dict[str, float] and isinstance(content.get(name), dict):
                values = content[name].items()
                content[name] = {key: math.nan if x is None else x for key, x in values}

    @classmethod
    def check_version(cls, found: Any, path: Path) -> None:
        """Raise `ResultsError` if a file is not of this version."""
        if found != cls.version:
            versions = {"expected": cls.version, "version": found}
            raise reading.ResultsError(t("reporting.other_version", path=path, **versions))

    @classmethod
    def compares(cls, name: str) -> bool:
        """Whether one of `numbers` stands in a table of many runs, under this name."""
        return False

    def numbers(self) -> dict[str, Any]:
        """Return the few numbers that stand for the whole, for the manifest and the loggers."""
        return {}


class ArrayResult(Result):
    """A result whose file is an archive of NumPy arrays, with `version` among them.

    A subclass that keeps its fields under other names says how in `to_arrays` and `from_arrays`.
    """

    def to_arrays(self) -> dict[str, Any]:
        """Return what the file holds, by name."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """Return the result that a file's arrays stand for.

        Raises:
            TypeError: An array is missing, or one too many.
            ValueError: They do not go together.
        """
        return cls(**arrays)

    def save(self, folder: RunFolder) -> None:
        """Write the file in one step."""
        path = folder.path / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, version=np.array(self.version), **self.to_arrays())

    @classmethod
    def load(cls, folder: RunFolder) -> Self | None:
        """Read the file; None if it is absent.

        Raises:
            ResultsError: It is of another version, or holds something else.
        """
        path = folder.path / cls.file
        arrays = reading.arrays(path)
        if arrays is None:
            return None
        version = arrays.pop("version", None)
        cls.check_version(None if version is None else version.tolist(), path)
        try:
            return cls.from_arrays(arrays)
        except (TypeError, ValueError) as error:
            raise reading.broken(path, t("reporting.kind_arrays"), error) from error


def _plain(value: Any) -> Any:
    """Return NumPy's numbers and arrays as Python's numbers and lists."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"expected plain values in a result, got {type(value).__name__}")


def _array(expected: type, value: Any) -> Any:
    """Return a list of numbers as the array that a field expects."""
    if expected is not np.ndarray:
        raise TypeError(f"expected {expected.__name__}, got {type(value).__name__}")
    return np.asarray(value)
