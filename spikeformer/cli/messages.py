"""What a person at the command line reads: in which language, and what of an error."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from spikeformer.cli.config import register_resolvers
from spikeformer.config import configured_locale
from spikeformer.error_handling import ConfigurationError, SpikeformerError
from spikeformer.files import explained
from spikeformer.i18n import set_default_locale, t

_EXTRAS = {
    "Could not find 'hydra/launcher/joblib": "sweeps",
    "Could not find 'hydra/launcher/submitit": "slurm",
    "Could not find 'hydra/launcher/ray": "ray",
    "Neither `tensorboard` nor": "tensorboard",
    "Requirement 'mlflow": "mlflow",
}
"""What Hydra and Lightning say where a package is missing, and the extra that brings it."""

_UNKNOWN_IN_FILE = re.compile(
    r"In '(\w+)/([\w/]+)': ConfigKeyError.*full_key: (\w+)(\.[\w.]+)", re.S
)
"""What Hydra says where a group's file, a recipe mostly, sets a key that another choice lacks."""


_NEEDED_ELSEWHERE = re.compile(r"resolving interpolation: Missing mandatory value: ([\w.]+)")
"""What OmegaConf says where one key takes the value of another, which has none."""

_SHOWS_OR_SWEEPS = {"--multirun", "-m", "--cfg", "-c", "--info", "-i", "--help", "-h"}
"""Hydra's flags with which a command line trains many networks, or none."""


def set_locale(arguments: Sequence[str]) -> None:
    """Take the process's locale from `locale=...`, the last one if there are several.

    Raises:
        ConfigurationError: It names a language that has no texts.
    """
    pairs = [argument.lstrip("+").partition("=") for argument in arguments]
    given = [value.strip("'\"") for key, _, value in pairs if key == "locale"]
    if given:
        # A sweep may name several, for a run each: what concerns all of them is said in the first.
        set_default_locale(configured_locale(given[-1].partition(",")[0]))


def check_arguments(arguments: Sequence[str], config_folder: str) -> None:
    """Refuse what Hydra would fail of without saying why.

    Raises:
        ConfigurationError: An argument is not in the encoding of the locale, chooses something
            that is no name from a group (`debug=null`, `model=3`), or a search without --multirun.
    """
    alone = not _SHOWS_OR_SWEEPS & set(arguments)
    for argument in arguments:
        if alone and argument.startswith("hparams_search="):
            raise ConfigurationError(t("cli.search_sweeps", override=argument))
        if any("\ud800" <= character <= "\udfff" for character in argument):
            raise ConfigurationError(t("cli.no_text", argument=repr(argument)))
        group = argument.partition("=")[0].partition("@")[0]
        if not (options := _options(config_folder, group)):
            continue
        try:
            override = OverridesParser.create().parse_override(argument)
        except HydraException:
            continue  # Hydra says what is wrong
        if not override.is_sweep_override() and not isinstance(override.value(), str | list):
            known = ", ".join(options)
            raise ConfigurationError(t("cli.no_option", override=argument, options=known))


def cause(error: BaseException) -> BaseException:
    """Return what is behind an error: what a resolver raised, or what the disk refused."""
    if isinstance(error, OmegaConfBaseException):
        inner = error.__context__
        while inner is not None:
            if isinstance(inner, SpikeformerError):
                return inner
            inner = inner.__context__
    # Hydra's own errors may be OSErrors too: a missing config file is one.
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        return explained(error)
    return error


def explain(error: BaseException, arguments: Sequence[str], config_folder: str) -> str:
    """Return what was wrong, where, and what to do, in as few lines as it takes.

    Args:
        error: What was raised.
        arguments: The command line's arguments.
        config_folder: The folder of config groups.
    """
    if isinstance(error, KeyboardInterrupt):
        return str(error) or t("cli.interrupted")
    if isinstance(error, BrokenPipeError):
        return t("cli.nobody_reads")
    if isinstance(error, OSError) and not isinstance(error, HydraException | SpikeformerError):
        return f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
    if isinstance(error, InterpolationKeyError):
        return _explain_interpolation(error)
    if missing := _NEEDED_ELSEWHERE.search(str(error)):
        return t("config.no_value", key=missing[1])
    if clash := _UNKNOWN_IN_FILE.search(str(error)):
        group, name, chosen, key = clash.groups()
        where, wanted = f"{group}={name} ", chosen + key
        return t("cli.choices_clash", where=where, wanted=wanted, group=chosen, other=group)
    text = _tidy(str(error))
    if error.__cause__ is not None and isinstance(error, HydraException):
        reason = _tidy(str(error.__cause__)).partition(" [key ")[0]  # the text names the key
        text = f"{text.removesuffix('.')}: {reason}"
    if isinstance(error, SpikeformerError):  # raised after Hydra had found all keys but added ones
        arguments = [argument for argument in arguments if argument.startswith(("+", "~"))]
    suggestion = _suggest(text, arguments, config_folder) + _suggest_extra(text)
    notes = getattr(error, "__notes__", [])
    return "\n".join([text, *suggestion, *notes])


def _explain_interpolation(error: OmegaConfBaseException) -> str:
    missing = re.search(r"'([\w.]+)' not found", str(error))
    wanted = missing[1] if missing else str(error).splitlines()[0]
    where = f"{error.full_key} " if error.full_key else ""
    group = wanted.partition(".")[0]
    other = str(error.full_key or "model").partition(".")[0]
    return t("cli.choices_clash", where=where, wanted=wanted, group=group, other=other)


def _tidy(text: str) -> str:
    """Drop what only Hydra's developers need, and say the rest on few lines."""
    lines = []
    for line in text.splitlines():
        if line.startswith(("Config search path", "\tprovider=", "Set the environment variable")):
            break
        if line.strip() and not line.strip().startswith(("reference_type=", "To append to")):
            lines.append(line.strip())
    head, options, names = "\n".join(lines).partition("\nAvailable options in ")
    merged = head + options + ", ".join(names.split("\n")).replace(":,", ":", 1)
    return re.sub(r"\nfull_key: (\S+)", r" [key \1]", merged).replace("\nobject_type=", " in ")


def _suggest(text: str, arguments: Sequence[str], config_folder: str) -> list[str]:
    """Return "Did you mean ...?" for keys and options that nearly exist."""
    suggestions = []
    for argument in arguments:
        key, equals, value = argument.lstrip("+~").partition("=")
        if not equals or (key not in text and value not in text):
            continue
        options = _options(config_folder, key)
        if options and value not in options:
            suggestions += difflib.get_close_matches(value, options, n=1)
        elif not options and key not in (known := _known_keys(config_folder, arguments)):
            suggestions += difflib.get_close_matches(key, known, n=1, cutoff=0.75)
    return [t("cli.did_you_mean", name=name) for name in dict.fromkeys(suggestions)]


def _suggest_extra(text: str) -> list[str]:
    """Return how to install the package whose absence Hydra or Lightning reports."""
    return [
        t("cli.needs_extra", command=f'pip install "spikeformer[{extra}]"')
        for absence, extra in _EXTRAS.items()
        if absence in text
    ]


def _options(config_folder: str, group: str) -> list[str]:
    folder = Path(config_folder) / group
    return sorted(path.stem for path in folder.glob("*.yaml")) if folder.is_dir() else []


def _known_keys(config_folder: str, arguments: Sequence[str]) -> list[str]:
    """Return all keys of the configuration with the groups that the arguments choose.

    There are none where those groups do not go together.
    """
    groups = [
        argument
        for argument in arguments
        if (parts := argument.partition("="))[2] in _options(config_folder, parts[0])
    ]
    register_resolvers()
    GlobalHydra.instance().clear()
    with initialize_config_dir(config_folder, version_base="1.3"):
        try:
            config = compose("train", overrides=groups)
        except HydraException:
            return []
    top = [path.name for path in Path(config_folder).iterdir() if path.is_dir()]
    return [*top, *_keys(config)]


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    items: Iterable[Any] = node.keys() if isinstance(node, DictConfig) else ()
    for key in items:
        path = f"{prefix}{key}"
        yield path
        # Interpolated nodes are the same keys under another name; skip what is not there yet.
        if not OmegaConf.is_missing(node, key) and not OmegaConf.is_interpolation(node, key):
            yield from _keys(node[key], f"{path}.")
