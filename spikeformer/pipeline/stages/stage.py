"""What a pipeline is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from omegaconf import DictConfig, OmegaConf

from spikeformer.config import registered
from spikeformer.files import value_hash

if TYPE_CHECKING:
    from spikeformer.pipeline.run import Run


@registered
class Stage(ABC):
    """One step of a pipeline: reads the run, writes files, returns numbers.

    A stage is skipped on resume when its configuration and the stages before it are unchanged.
    """

    name: ClassVar[str]
    """Its name in the manifest."""

    config_keys: ClassVar[tuple[str, ...]] = ()
    """Parts of the configuration on which its result depends."""

    every_rank: ClassVar[bool] = False
    """Whether every process of a distributed run takes part, or the first one alone."""

    def check(self, run: Run) -> None:  # noqa: B027  most stages need nothing more
        """Refuse at the start, before anything runs or is written, what cannot work later."""

    weights_made: ClassVar[str | None] = None
    """Name of the checkpoint that it writes, whose weights are the last ones for later stages."""

    trains: ClassVar[bool] = False
    """Whether the network learns from the data, which may then have other classes than it knew."""

    takes_data: ClassVar[bool] = True
    """Whether it works on the data, whose samples then have to be of the network's size."""

    @abstractmethod
    def run(self, run: Run) -> dict[str, Any]:
        """Do the work and return its numbers, plain values that JSON holds."""

    def is_wanted(self, config: DictConfig) -> bool:
        """Tell whether the configuration asks for this stage; others are left out."""
        return True

    def outputs(self, run: Run) -> list[Path]:
        """Return the files that make this stage's result."""
        return []

    def settings(self) -> dict[str, Any]:
        """Return the stage's own arguments, on which its result depends too."""
        return dict(vars(self))

    def summary(self, result: Mapping[str, Any]) -> str:
        """Return one line that tells a person what came out."""
        return ", ".join(f"{key} {value}" for key, value in result.items())


_HOW_DATA_ARE_READ = ("num_workers", "cache_dir", "memory_limit_gib")
"""Keys of the group `data` on which no result depends."""


def stage_inputs(stage: Stage, run: Run, upstream: str) -> dict[str, str]:
    """Return the hashes of what a stage's result depends on: values, and the files they name."""
    inputs = {
        key: value_hash([_resolved(run.config, key), run.contents.get(key, "")])
        for key in stage.config_keys
    }
    return {**inputs, "settings": value_hash(stage.settings()), "upstream": upstream}


def _resolved(config: DictConfig, key: str) -> Any:
    node = config[key]
    value = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    if key == "data" and isinstance(value, dict):
        return {name: inner for name, inner in value.items() if name not in _HOW_DATA_ARE_READ}
    return value
