"""`checkpoint=FILE` means: the network and the data of its run, and what is given now on top."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from spikeformer.cli.config import compose, config_folder
from spikeformer.cli.paths import path_given, quoted
from spikeformer.config import MASK, NETWORK, RunRecord, read_config, run_of_network
from spikeformer.error_handling import ConfigurationError
from spikeformer.files import UnreadableFileError, read_json
from spikeformer.i18n import t

_ABSENT = object()
GROUPS = NETWORK[1:]
"""Groups that make the network and its data, those that others refer to first."""
_HOW_DATA_ARE_READ = ("batch_size", "num_workers", "cache_dir", "memory_limit_gib", "seed")


def with_checkpoints_overrides(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with what the run of a checkpoint had for its network and data.

    What is given wins. Nothing is added where no `config.yaml` lies beside the checkpoint or in the
    folder above, for a sweep, and for an experiment, which says all of it itself.
    """
    run = _run_of(arguments)
    given = {_key(argument) for argument in arguments}
    if run is None or "experiment" in given or {"-m", "--multirun"} & set(arguments):
        return list(arguments)
    recorded = _recorded(run)
    choices = _choices(run, recorded)
    same = {group for group, choice in choices.items() if f"{group}={choice}" in arguments}
    others = {group for group in GROUPS if group in given and group not in same}
    if "task" in others:
        others.add("loss")  # a task brings its own
    added = [f"{group}={choices[group]}" for group in choices if group not in same | others]
    base = compose(*(f"{group}={choices[group]}" for group in choices if group not in others))
    taken = given - same
    for path, value in _differences(base, recorded, [key for key in NETWORK if key not in others]):
        there = OmegaConf.select(base, path, default=_ABSENT) is not _ABSENT
        OmegaConf.update(base, path, value, force_add=True)  # what refers to it follows
        if not any(_covers(path, key) for key in taken):
            added.append(f"{'' if there else '++'}{path}={_text(value)}")
    return [*arguments, *added]


def differences(config: DictConfig) -> str | None:
    """Return a line on where network and data come from and what is other there, if anything.

    Args:
        config: The composed configuration.
    """
    run = None if not config.checkpoint else _folder_of(Path(config.checkpoint))
    if run is None:
        return None
    other = [
        f"{path}={_shown(OmegaConf.select(config, path))} ({_shown(value)})"
        for path, value in _differences(config, _recorded(run), NETWORK, followed=False)
        if path.rpartition(".")[2] not in _HOW_DATA_ARE_READ
    ]
    if not other:
        return t("cli.as_in_run", folder=run)
    some = ", ".join([*other[:6], *(["..."] if len(other) > 6 else [])])
    return t("cli.other_than_run", folder=run, differences=some)


def _run_of(arguments: Sequence[str]) -> Path | None:
    value = path_given(arguments, "checkpoint")
    return None if value in (None, "null") else _folder_of(Path(str(value)))


def _folder_of(checkpoint: Path) -> Path | None:
    """Return the folder with the configuration of a checkpoint's run, if it is there."""
    if not checkpoint.is_file():
        return None
    if checkpoint.suffix == ".safetensors":
        return checkpoint.parent if run_of_network(checkpoint.parent) is not None else None
    here = checkpoint.parent
    folders = (here, here.parent)
    return next((folder for folder in folders if (folder / "config.yaml").is_file()), None)


def _recorded(run: Path) -> dict[str, Any]:
    if (saved := _saved(run)) is not None:
        return saved.settings
    content = OmegaConf.to_container(read_config(run / "config.yaml"), resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def _choices(run: Path, recorded: dict[str, Any]) -> dict[str, str]:
    """Return the run's options of `GROUPS`; by their class where the manifest does not tell."""
    told = _told(run)
    choices: dict[str, str] = {}
    for group in GROUPS:
        options = {
            path.stem: path for path in sorted((Path(config_folder()) / group).glob("*.yaml"))
        }
        if told.get(group) in options:
            choices[group] = told[group]
            continue
        node = recorded.get(group)
        line = f"_target_: {node.get('_target_')}\n" if isinstance(node, dict) else ""
        same = [name for name, path in options.items() if line and line in path.read_text()]
        if same:
            choices[group] = same[0]
    return choices


def _saved(folder: Path) -> RunRecord | None:
    """Return what a saved network tells of its run; None of the folder of a run itself."""
    return None if (folder / "config.yaml").is_file() else run_of_network(folder)


def _told(run: Path) -> dict[Any, Any]:
    """Return the options that a run's manifest, or a saved network's file, tells."""
    if (saved := _saved(run)) is not None:
        return dict(saved.choices)
    try:
        found = read_json(run / "manifest.json", dict[str, Any]).get("choices")
    except FileNotFoundError:
        return {}
    except UnreadableFileError as error:
        raise ConfigurationError(str(error)) from error
    return found if isinstance(found, dict) else {}


def _differences(
    config: DictConfig, recorded: dict[str, Any], keys: Sequence[str], *, followed: bool = True
) -> Iterator[tuple[str, Any]]:
    """Yield path and recorded value of what a configuration has otherwise.

    Args:
        config: The configuration.
        recorded: What a run recorded of its own, plain values.
        keys: Where to look.
        followed: Whether to look at what refers to something else.
    """
    for key in keys:
        if key in recorded and key in config:
            yield from _between(config, key, key, recorded[key], followed)


def _between(
    parent: DictConfig, key: str, path: str, value: Any, followed: bool
) -> Iterator[tuple[str, Any]]:
    if key not in parent and is_dataclass(OmegaConf.get_type(parent)):
        return  # an argument that is no more
    refers = key in parent and OmegaConf.is_interpolation(parent, key)
    if (refers and not followed) or not re.fullmatch(r"[\w.]+", path):
        return
    missing = key not in parent or OmegaConf.is_missing(parent, key)
    node = None if missing else parent[key]
    if isinstance(node, DictConfig) and isinstance(value, dict) and not refers:
        if path in GROUPS and node.get("_target_") != value.get("_target_"):
            if not followed:
                yield f"{path}._target_", value.get("_target_")
            return  # another class has other arguments
        for inner in value:
            yield from _between(node, str(inner), f"{path}.{inner}", value[inner], followed)
        return
    plain = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    if (missing or plain != value) and _is_plain(value):
        yield path, value


def _is_plain(value: Any) -> bool:
    """Whether a recorded value was written down as it was: no secret, nothing to look up."""
    text = json.dumps(value, default=str)
    return "${" not in text and MASK not in text and value != "???"


def _covers(path: str, key: str) -> bool:
    return path == key or path.startswith(f"{key}.") or key.startswith(f"{path}.")


def _key(argument: str) -> str:
    return argument.partition("=")[0].lstrip("+~").partition("@")[0]


def _text(value: Any) -> str:
    """Return a plain value as Hydra's grammar has it."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_text(inner)}' for key, inner in value.items())}}}"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown(value: Any) -> str:
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value, resolve=True)
    return "null" if value is None else str(value)
