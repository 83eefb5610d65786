"""`pipeline.resume=FOLDER` means: the command line of that run, and what is given now on top."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

from spikeformer.cli.paths import path_given, quoted
from spikeformer.cli.sweep import SWEEP_FILE
from spikeformer.config import MASK
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
    value = path_given(arguments, "pipeline.resume")
    if value in (None, "null"):
        return list(arguments)
    folder = Path(str(value))
    # Hydra takes overrides side by side alone, wherever among them a flag was typed.
    overrides = [argument for argument in arguments if _is_override(argument)]
    flags = [argument for argument in arguments if not _is_override(argument)]
    if {"-m", "--multirun"} & set(flags):
        return _with_sweep(folder, [*flags, *overrides], given)
    if (folder / SWEEP_FILE).is_file() and not (folder / RUN_FILE).is_file():
        raise ConfigurationError(t("cli.is_sweep", folder=folder))
    saved = _saved_overrides(folder, RUN_FILE)
    # What is deleted must be there, as the saved overrides made it.
    newer = {_key(argument) for argument in overrides if not argument.startswith("~")}
    _check_saved(folder / RUN_FILE, saved, newer)
    kept = [override for override in saved if _key(override) not in newer]
    # Flags last: one whose value may be left out would take an override for it.
    return [*kept, *overrides, f"hydra.run.dir={quoted(str(folder))}", *flags]


def _is_override(argument: str) -> bool:
    return argument.startswith("~") or ("=" in argument and not argument.startswith("-"))


def _with_sweep(folder: Path, arguments: Sequence[str], given: Sequence[str]) -> list[str]:
    if (folder / RUN_FILE).is_file():
        raise ConfigurationError(t("cli.is_run", folder=folder))
    here = "hydra.sweep.dir"
    saved = [o for o in _saved_overrides(folder, SWEEP_FILE) if not _names(o, here, folder)]
    # Flags and their values come before all overrides.
    start = arguments.index(given[0])
    flags = list(arguments[:start])
    new = [argument for argument in arguments[start:] if argument not in given]
    newer = {_key(argument) for argument in new if not argument.startswith("~")}
    _check_saved(folder / SWEEP_FILE, saved, newer)
    swept = {_key(override) for override in _sweeping(saved)}
    other = [o for o in new if _key(o) in swept] + _sweeping(new)
    if other:
        raise ConfigurationError(t("cli.keeps_children", override=other[0]))
    kept = [override for override in saved if _key(override) not in newer]
    return [*flags, *kept, *new, f"{here}={quoted(str(folder))}"]


def _names(override: str, key: str, folder: Path) -> bool:
    """Return whether an override gives a key this folder, as an earlier resume recorded it."""
    value = override.partition("=")[2].strip("'\"")
    return _key(override) == key and Path(value).resolve() == folder.resolve()


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


_PLAIN_HYDRA = re.compile(
    r"hydra/(launcher|sweeper|sweeper/sampler|sweeper/pruner)=\w+"
    r"|hydra\.sweeper\.(n_trials|n_jobs|max_failure_rate|study_name|params\.[\w.@/]+)=.*"
    r"|hydra\.sweeper\.(sampler|pruner)\.[a-z]\w*=[\w.+-]*"
    r"|\+?hydra\.launcher\.(n_jobs|verbose|partition|qos|account|constraint|gres|nodes|mem_gb"
    r"|cpus_per_task|gpus_per_node|tasks_per_node|timeout_min|array_parallelism)=[\w.:+-]*"
)
"""What a sweep's file may say to Hydra itself: choices and numbers; no class, path or command."""


def _check_saved(path: Path, saved: Sequence[str], given: Collection[str]) -> None:
    """Refuse saved overrides that reach beyond the run: the file may be a stranger's.

    Raises:
        ConfigurationError: One is a flag, configures Hydra itself, asks a resolver (the environment
            is one), extends what is trusted, or was masked; and is not given anew.
    """
    for override in (text.strip() for text in saved):
        about_hydra = re.match(r"[+~]*hydra\b", override) is not None
        plain = path.name == SWEEP_FILE and _PLAIN_HYDRA.fullmatch(override) is not None
        beyond = (
            (about_hydra and not plain)
            or override.startswith("-")
            or re.search(r"\$\{[^}]*:", override) is not None
            or _key(override).startswith("trusted_packages")
            or MASK in override
        )
        if beyond and _key(override) not in given:
            raise ConfigurationError(t("cli.not_from_file", path=path, override=override))


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")
