"""What interpolations in `conf/` can ask for beyond OmegaConf's own."""

from __future__ import annotations

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf


def register_resolvers() -> None:
    """Register `choice`, `run_dir` and `new_folder` with OmegaConf."""
    OmegaConf.register_new_resolver("choice", choice, replace=True)
    OmegaConf.register_new_resolver("run_dir", run_dir, replace=True)
    OmegaConf.register_new_resolver("new_folder", new_folder, replace=True, use_cache=True)


def choice(group: str) -> str:
    """Return the option chosen for a config group, as in `${choice:model}`."""
    if not HydraConfig.initialized():
        return group
    return str(HydraConfig.get().runtime.choices.get(group, group))


def run_dir() -> str:
    """Return the run folder; outside of a run the working directory."""
    return str(HydraConfig.get().runtime.output_dir) if HydraConfig.initialized() else "."


def new_folder(path: str) -> str:
    """Make a folder that nobody else has and return its path.

    Two runs may start in the same second: the later one gets `-1`, `-2`, ... appended.
    """
    wanted = Path(path)
    for attempt in range(1000):
        candidate = wanted if attempt == 0 else wanted.with_name(f"{wanted.name}-{attempt}")
        try:
            candidate.mkdir(parents=True)
        except FileExistsError:
            continue
        return str(candidate)
    raise FileExistsError(f"{wanted} and 999 folders named after it exist already")
