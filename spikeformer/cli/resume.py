"""`pipeline.resume=FOLDER` means: the command line of that run, and what is given now on top."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from spikeformer.error_handling import ConfigurationError
from spikeformer.i18n import t


def with_resumed_overrides(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with those of a resumed run before them.

    Raises:
        ConfigurationError: The folder holds no run, or a sweep asks to be resumed as one run.
    """
    given = [argument for argument in arguments if argument.startswith("pipeline.resume=")]
    value = given[-1].partition("=")[2].strip("'\"") if given else ""
    if value in ("", "null"):
        return list(arguments)
    if {"-m", "--multirun"} & set(arguments):
        raise ConfigurationError(t("cli.resume_one_run"))
    folder = Path(value)
    saved = _saved_overrides(folder)
    newer = {_key(argument) for argument in arguments}
    kept = [override for override in saved if _key(override) not in newer]
    return [*kept, *arguments, f"hydra.run.dir='{folder}'"]


def _saved_overrides(folder: Path) -> list[str]:
    path = folder / "overrides.yaml"
    if not path.is_file():
        raise ConfigurationError(t("cli.no_run_folder", folder=folder))
    try:
        return [str(override) for override in OmegaConf.load(path)]
    except (OSError, YAMLError, OmegaConfBaseException) as error:
        raise ConfigurationError(f"pipeline.resume={folder}: {path.name}: {error}") from error


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")
