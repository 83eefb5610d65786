"""Files from elsewhere: read within limits, and refused with one kind of error."""

from __future__ import annotations

import json
import math
import re
import stat
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import yaml

from spikeformer.error_handling import SpikeformerError
from spikeformer.i18n import t

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")

MIB = 2**20
MAX_DEPTH = 100
MAX_TEXT = 64 * MIB
"""Bytes of a JSON or YAML file."""
MAX_INFLATED = 256 * MIB
"""Bytes that the compressed members of an archive may take; others take what they have on disk."""


class UnreadableFileError(SpikeformerError, ValueError):
    """A file is not what it should be; the message names it, and what is wrong."""

    def __init__(self, path: Path, kind: str, reason: object) -> None:
        self.path, self.kind, self.reason = path, kind, reason
        super().__init__(t("files.unreadable", path=path, kind=kind, reason=reason))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.kind, str(self.reason))


def read_json(path: Path, expected: type[T], *, max_bytes: int = MAX_TEXT) -> T:
    """Read a JSON file.

    Args:
        path: The file.
        expected: What it must hold, in terms of `msgspec.convert`: `dict`, `list[str]`, a
            `TypedDict`, a dataclass, with `typing.Annotated[int, msgspec.Meta(ge=1)]` for ranges.
            Text is no number, nor a number text.
        max_bytes: Larger files are refused.

    Raises:
        FileNotFoundError: It is absent.
        UnreadableFileError: It is no file, too large, no UTF-8, no JSON, nested too deep, holds
            characters that no text has, or holds something else than expected.

    Example:
        >>> _ = Path("sizes.json").write_text('{"neurons": 12}')
        >>> read_json(Path("sizes.json"), dict[str, int])
        {'neurons': 12}
    """
    text = _text(path, "JSON", max_bytes)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableFileError(path, "JSON", error) from error
    _check_tree(path, "JSON", value, surrogates="\\u" in text)
    return _converted(path, "JSON", value, expected)


def read_yaml(path: Path, expected: type[T], *, max_bytes: int = MIB) -> T:
    """Read a YAML file of plain values.

    Aliases are refused: a few lines of them can stand for gigabytes.

    Args:
        path: The file.
        expected: What it must hold, as for `read_json`.
        max_bytes: Larger files are refused.

    Raises:
        FileNotFoundError: It is absent.
        UnreadableFileError: As for `read_json`.
    """
    text = _text(path, "YAML", max_bytes)
    try:
        value = yaml.load(text, Loader=_PlainLoader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise UnreadableFileError(path, "YAML", error) from error
    _check_tree(path, "YAML", value, surrogates=True)
    return _converted(path, "YAML", value, expected)


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases and dates, and with the floats of YAML 1.2, as OmegaConf reads it."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.YAMLError(f"it is nested deeper than {MAX_DEPTH} levels")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_PlainLoader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?\d[\d_]*(?:\.\d*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


def read_arrays(
    path: Path, *, kinds: str = "biuf", max_inflated: int = MAX_INFLATED
) -> dict[str, np.ndarray]:
    """Read the arrays of an `.npz` file; nothing is unpickled.

    Shapes are held against the sizes of the members before memory is taken, so an array is never
    larger than what the file holds of it, or `max_inflated` where it is compressed.

    Args:
        path: The file.
        kinds: Kinds of NumPy's types that may be in it.
        max_inflated: Bytes that all compressed members may take.

    Raises:
        FileNotFoundError: It is absent.
        UnreadableFileError: It is no archive of arrays, damaged or cut short, holds other types
            than `kinds`, or arrays of another size than their shape says.
    """
    _check_regular(path, "npz")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_sizes(members, path.stat().st_size, max_inflated)
            return dict(_array(archive, member, kinds) for member in members)
    except NO_ARRAYS as error:
        reason = f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else error
        raise UnreadableFileError(path, "npz", reason) from error


NO_ARRAYS = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    SyntaxError,
    ArithmeticError,
    MemoryError,
    RuntimeError,  # RecursionError, NotImplementedError, and what `zipfile` says of passwords
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What `zipfile` and NumPy raise of a file of arrays that is none."""


def _check_sizes(members: list[zipfile.ZipInfo], file_size: int, max_inflated: int) -> None:
    """Refuse members that claim to be larger than they can be, before one is read."""
    inflated = stored = 0
    for member in members:
        if member.compress_type == zipfile.ZIP_STORED:
            stored += member.file_size
        elif member.compress_type == zipfile.ZIP_DEFLATED:
            inflated += member.file_size
        else:
            raise ValueError(f"{member.filename} is compressed in another way than deflate")
    if stored > file_size:
        raise ValueError(f"arrays of {stored} bytes in a file of {file_size}")
    if inflated > max_inflated:
        raise ValueError(f"compressed arrays of {inflated} bytes, at most {max_inflated} are read")
    if len({member.filename for member in members}) < len(members):
        raise ValueError("two arrays have one name")


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, kinds: str) -> tuple[str, np.ndarray]:
    """Return one array and its name."""
    from numpy.lib import format as npy

    name, suffix = member.filename[:-4], member.filename[-4:]
    if suffix != ".npy":
        raise ValueError(f"{member.filename!r} is no array")
    with archive.open(member) as stream:
        version = npy.read_magic(stream)
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        if version not in read_header:
            raise ValueError(f"{name}: unknown version {version}")
        shape, _, dtype = read_header[version](stream)
        if dtype.kind not in kinds:
            raise ValueError(f"{name} holds {dtype}, expected one of the kinds {kinds!r}")
        size = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or size != member.file_size - stream.tell():
            raise ValueError(f"{name} has the shape {shape} and not so many values")
    with archive.open(member) as stream:
        array: np.ndarray = npy.read_array(stream, allow_pickle=False)
        if stream.read(1):
            raise ValueError(f"{name} is longer than it says")
    return name, array


def _check_regular(path: Path, kind: str) -> int:
    """Return the size of a regular file: a pipe would never end, nor would a device."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise UnreadableFileError(path, kind, error) from error
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableFileError(path, kind, "it is no regular file")
    return status.st_size


def _text(path: Path, kind: str, max_bytes: int) -> str:
    """Return a file's text."""
    if (size := _check_regular(path, kind)) > max_bytes:
        raise UnreadableFileError(path, kind, f"{size} bytes, at most {max_bytes} are read")
    try:
        with path.open("rb") as stream:
            return stream.read(max_bytes).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFileError(path, kind, error) from error


def _check_tree(path: Path, kind: str, value: Any, *, surrogates: bool) -> None:
    """Refuse deep nesting and, if there may be any, halves of characters."""
    level = [value]
    for _ in range(MAX_DEPTH):
        if surrogates:
            _check_characters(path, kind, level)
        level = [member for node in level for member in _members(node)]
        if not level:
            return
    raise UnreadableFileError(path, kind, f"it is nested deeper than {MAX_DEPTH} levels")


def _members(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return [*node.keys(), *node.values()]
    return node if isinstance(node, list | tuple | set) else ()


def _check_characters(path: Path, kind: str, values: Iterable[Any]) -> None:
    for value in values:
        if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
            raise UnreadableFileError(path, kind, f"{value[:40]!r} holds a lone surrogate")


def _converted(path: Path, kind: str, value: Any, expected: type[T]) -> T:
    try:
        return msgspec.convert(value, expected)
    except (msgspec.ValidationError, OverflowError, RecursionError) as error:
        raise UnreadableFileError(path, kind, error) from error
