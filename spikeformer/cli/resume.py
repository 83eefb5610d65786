"""`pipeline.resume=FOLDER` means: the command line of that run, and what is given now on top."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

from spikeformer.cli.sweep import SWEEP_FILE
from spikeformer.config import believed
from spikeformer.error_handling import ConfigurationError
from spikeformer.files import UnreadableFileError, read_yaml
from spikeformer.i18n import t

RUN_FILE = "overrides.yaml"


def with_resumed_overrides(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with those of a resumed run or sweep before them.

    Raises:
        ConfigurationError: The folder holds no run, or no sweep where one is asked for, or a
            sweep would get other children than it had.
    """
    given = [argument for argument in arguments if argument.startswith("pipeline.resume=")]
    value = given[-1].partition("=")[2].strip("'\"") if given else ""
    if value in ("", "null"):
        return list(arguments)
    folder = Path(value)
    if {"-m", "--multirun"} & set(arguments):
        return _with_sweep(folder, arguments, given)
    if (folder / SWEEP_FILE).is_file() and not (folder / RUN_FILE).is_file():
        raise ConfigurationError(t("cli.is_sweep", folder=folder))
    saved = _saved_overrides(folder, RUN_FILE)
    # What is deleted must be there, as the saved overrides made it.
    newer = {_key(argument) for argument in arguments if not argument.startswith("~")}
    kept = believed(saved, newer)
    return [*kept, *arguments, f"hydra.run.dir='{folder}'"]


def _with_sweep(folder: Path, arguments: Sequence[str], given: Sequence[str]) -> list[str]:
    if (folder / RUN_FILE).is_file():
        raise ConfigurationError(t("cli.is_run", folder=folder))
    saved = _saved_overrides(folder, SWEEP_FILE)
    # Flags and their values come before all overrides.
    start = arguments.index(given[0])
    flags = list(arguments[:start])
    new = [argument for argument in arguments[start:] if argument not in given]
    swept = {_key(override) for override in _sweeping(saved)}
    other = [o for o in new if _key(o) in swept] + _sweeping(new)
    if other:
        raise ConfigurationError(t("cli.keeps_children", override=other[0]))
    newer = {_key(argument) for argument in new if not argument.startswith("~")}
    kept = believed(saved, newer)
    return [*flags, *kept, *new, f"hydra.sweep.dir='{folder}'"]


def _sweeping(overrides: Sequence[str]) -> list[str]:
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return [str(override.input_line) for override in parsed if override.is_sweep_override()]


def _saved_overrides(folder: Path, name: str) -> list[str]:
    path = folder / name
    if not path.is_file():
        key = "cli.no_run_folder" if name == RUN_FILE else "cli.no_sweep_folder"
        raise ConfigurationError(t(key, folder=folder))
    try:
        return read_yaml(path, list[str])
    except UnreadableFileError as error:
        raise ConfigurationError(f"pipeline.resume={folder}: {error}") from error


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")
