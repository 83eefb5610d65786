"""Paths on the command line, whatever signs are in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

PATH_KEYS = (
    "checkpoint",
    "data.path",
    "data.tokenizer",
    "model.pretrained",
    "pipeline.resume",
    "report.baseline",
    "paths.output_dir",
    "hydra.run.dir",
)
"""Keys whose values are paths."""


def quoted(text: str) -> str:
    """Return a text as a value that Hydra reads as this text.

    Example:
        >>> quoted("epoch=3, the last.ckpt")
        "'epoch=3, the last.ckpt'"
    """
    escaped = re.sub(r"(\\*)(?='|$)", r"\1\1", text).replace("'", r"\'")
    return "'" + escaped.replace("${", r"\${") + "'"


def with_quoted_paths(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with quotes around paths that Hydra would not read as they are.

    A path is quoted if Hydra cannot read it, as with an equals sign in it, or reads something else
    although a file of just this name exists.
    """
    return [_quoted_path(argument) for argument in arguments]


def path_given(arguments: Sequence[str], key: str) -> str | None:
    """Return the last value given for a key of `PATH_KEYS`, without its quotes.

    None if there is none, and of a sweep over several.
    """
    given = [argument for argument in arguments if argument.lstrip("+").startswith(f"{key}=")]
    value = _read(given[-1]) if given else None
    return value if isinstance(value, str) and value else None


def _quoted_path(argument: str) -> str:
    key, equals, value = argument.partition("=")
    if not equals or key.lstrip("+") not in PATH_KEYS:
        return argument
    try:
        plain = str(_read(argument, strict=True)) == value and "${" not in value
        if plain or not _exists(value):
            return argument
    except HydraException:
        pass
    return f"{key}={quoted(value)}"


def _read(argument: str, *, strict: bool = False) -> Any:
    """Return what Hydra makes of an argument's value."""
    try:
        override = OverridesParser.create().parse_override(argument)
    except HydraException:
        if strict:
            raise
        return argument.partition("=")[2].strip("'\"")
    return None if override.is_sweep_override() else override.value()


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, RuntimeError, ValueError):
        return False
