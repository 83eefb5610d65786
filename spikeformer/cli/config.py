"""The configuration: where it lies, what its interpolations can ask for, and how to compose it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

import spikeformer
from spikeformer.cli.run_folder import child_folder, new_folder
from spikeformer.config import comes_from_environment, masked
from spikeformer.i18n import get_locale


def config_folder() -> str:
    """Return the folder of config groups: inside an installed package, or beside a checkout's."""
    package = Path(spikeformer.__file__).parent
    inside = package / "conf"
    return str(inside if inside.is_dir() else package.parent / "conf")


def register_resolvers() -> None:
    """Register what `conf/` uses: its schemas, and `choice`, `options`, `locale`, `run_dir`, ..."""
    # Commands that compose nothing need not wait for them.
    import spikeformer.config.schema
    import spikeformer.hardware.targets.schemas  # noqa: F401

    OmegaConf.register_new_resolver("choice", choice, replace=True)
    OmegaConf.register_new_resolver("options", options, replace=True)
    OmegaConf.register_new_resolver("unless_pretrained", unless_pretrained, replace=True)
    OmegaConf.register_new_resolver("locale", get_locale, replace=True)
    OmegaConf.register_new_resolver("run_dir", run_dir, replace=True)
    OmegaConf.register_new_resolver("sweep_name", sweep_name, replace=True)
    OmegaConf.register_new_resolver("folder_name", folder_name, replace=True)
    OmegaConf.register_new_resolver("new_folder", new_folder, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("child_folder", child_folder, replace=True)


def compose(*overrides: str) -> DictConfig:
    """Compose the configuration that `python train.py` would run with.

    Args:
        *overrides: As on the command line: "model.d_model=64", "neuron=plif".

    Example:
        >>> compose("neuron=plif", "timesteps=8").model.timesteps
        8
    """
    register_resolvers()
    with hydra.initialize_config_dir(config_folder(), version_base="1.3"):
        return hydra.compose("train", overrides=list(overrides))


def choice(group: str, *, _root_: DictConfig) -> str:
    """Return the option chosen for a config group, as in `${choice:model}`."""
    if HydraConfig.initialized():
        choices = HydraConfig.get().runtime.choices
    else:  # a sweep has names too, before its first child
        choices = OmegaConf.select(_root_, "hydra.runtime.choices", default={})
    return str(choices.get(group, group))


def unless_pretrained(value: Any, *, _root_: DictConfig) -> Any:
    """Return a value, or None where `model.pretrained` names a model that brings its own."""
    return None if OmegaConf.select(_root_, "model.pretrained", default=None) else value


def options(group: str, *, _root_: DictConfig) -> str:
    """Return the options of a config group, the chosen one with a star, for the help text."""
    files = (Path(config_folder()) / group).glob("*.yaml")
    chosen = OmegaConf.select(_root_, "hydra.runtime.choices", default={}).get(group)
    return ", ".join(
        f"{name} *" if name == chosen else name for name in sorted(f.stem for f in files)
    )


def help_text(arguments: Sequence[str]) -> str:
    """Return what `--help` prints: groups with their options, and every key with its value.

    Hydra's own help copies the whole configuration once for each group and takes seconds.

    Args:
        arguments: Overrides in force, and flags, which change nothing here.
    """
    register_resolvers()
    overrides = [argument for argument in arguments if not argument.startswith("-")]
    with hydra.initialize_config_dir(config_folder(), version_base="1.3"):
        config = hydra.compose("train", overrides=overrides, return_hydra_config=True)
    template = Template("\n".join(map(_wrapped, config.hydra.help.template.splitlines())))
    with open_dict(config):
        del config["hydra"]
    return template.substitute(CONFIG=OmegaConf.to_yaml(config))


def _wrapped(line: str) -> str:
    """Return a line of the help text, broken and indented as it began where it is too long."""
    indent = line[: len(line) - len(line.lstrip())]
    whole = line.replace(" *", "\0*")  # a choice keeps its star
    broken = textwrap.fill(whole, 100, subsequent_indent=indent, break_on_hyphens=False)
    return broken.replace("\0*", " *") or line


def run_dir() -> str:
    """Return the run folder; outside of a run the working directory."""
    if not HydraConfig.initialized():
        return "."
    runtime = HydraConfig.get().runtime
    return "." if OmegaConf.is_missing(runtime, "output_dir") else str(runtime.output_dir)


def folder_name(*, _root_: DictConfig) -> str:
    """Return the run's name for its folder, or "run" where it comes from the environment."""
    if comes_from_environment(_root_, "name"):
        return "run"
    return masked(str(_root_.name)).replace("*", "-")


def sweep_name() -> str | None:
    """Return the name of the sweep's folder inside a sweep, else None."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return Path(HydraConfig.get().sweep.dir).name
