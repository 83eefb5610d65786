"""Read one file of a run folder: None if it is absent, `ResultsError` if it is broken."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from spikeformer.error_handling import ConfigurationError
from spikeformer.files import UnreadableFileError, read_arrays, read_json
from spikeformer.i18n import t

if TYPE_CHECKING:
    import pandas as pd


class ResultsError(ConfigurationError):
    """A run folder is absent or one of its files cannot be read; the message names it."""


def broken(path: Path, expected: str, detail: object) -> ResultsError:
    """Return the error for a file that cannot be read; a stage can write it again."""
    return ResultsError(t("reporting.unreadable", path=path, expected=expected, reason=detail))


def _got(value: object) -> str:
    return t("reporting.got_a", type=type(value).__name__)


def text(path: Path) -> str | None:
    """Return the file's UTF-8 text."""
    if not path.is_file():
        return None
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise broken(path, t("reporting.kind_text"), error) from error


def json_object(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in the file."""
    try:
        return read_json(path, dict[str, Any])
    except FileNotFoundError:
        return None
    except UnreadableFileError as error:
        raise broken(path, error.kind, error.reason) from error


def _yaml(path: Path, content: str) -> Any:
    try:
        return yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise broken(path, "YAML", error) from error


def yaml_mapping(path: Path) -> tuple[dict[str, Any] | None, str | None]:
    """Return the YAML mapping in the file, and the text itself."""
    content = text(path)
    if content is None:
        return None, None
    value = _yaml(path, content)
    if value is not None and not isinstance(value, dict):
        raise broken(path, t("reporting.kind_yaml_mapping"), _got(value))
    return value or {}, content


def yaml_list(path: Path) -> list[str]:
    """Return the YAML list in the file as strings, empty if there is none."""
    content = text(path)
    value = None if content is None else _yaml(path, content)
    if value is not None and not isinstance(value, list):
        raise broken(path, t("reporting.kind_yaml_list"), _got(value))
    return [str(item) for item in value or []]


def history(path: Path) -> pd.DataFrame | None:
    """Return the training history with one row per epoch; None also when it has no rows."""
    if not path.is_file():
        return None
    import pandas as pd  # slow, and other files need it not

    try:
        frame = pd.read_csv(path)
    except pd.errors.EmptyDataError:
        return None
    except (OSError, ValueError) as error:  # ParserError and UnicodeDecodeError are ValueErrors
        raise broken(path, t("reporting.kind_csv"), error) from error
    textual = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    textual = [name for name in textual if frame[name].notna().any()]
    if textual:
        reason = t("reporting.column_holds_text", column=textual[0])
        raise broken(path, t("reporting.kind_numbers"), reason)
    if "epoch" in frame:
        # A logger may write one row per split; the last value of each column counts.
        frame = frame.groupby("epoch", as_index=False).last()
    return frame if len(frame) else None


def arrays(path: Path) -> dict[str, np.ndarray] | None:
    """Return the arrays of an npz file, never unpickling anything."""
    try:
        return read_arrays(path, kinds="biufU")
    except FileNotFoundError:
        return None
    except UnreadableFileError as error:
        raise broken(path, t("reporting.kind_arrays"), error.reason) from error
