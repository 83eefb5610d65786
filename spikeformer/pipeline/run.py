"""A run: its folder, its configuration, its parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from spikeformer.config import masked, recorded
from spikeformer.files import write_json, write_text
from spikeformer.pipeline.build import Components
from spikeformer.pipeline.environment import describe_environment
from spikeformer.pipeline.manifest import Manifest, StageRecord


@dataclass
class Run:
    """What every stage gets.

    Attributes:
        folder: The run folder.
        config: The composed configuration.
        parts: Data, module, trainer and loggers made from it.
        manifest: What has been done so far.
        previous: The stages' records as an earlier attempt left them.
    """

    folder: Path
    config: DictConfig
    parts: Components
    manifest: Manifest
    previous: dict[str, StageRecord]

    @property
    def last_checkpoint(self) -> Path:
        """The checkpoint after the last full epoch."""
        return self.folder / "checkpoints" / "last.ckpt"

    @rank_zero_only
    def write_description(self, overrides: list[str]) -> None:
        """Write the configuration, what the user changed in it, and the environment."""
        content = OmegaConf.create(recorded(self.config))
        write_text(self.folder / "config.yaml", OmegaConf.to_yaml(content))
        given = OmegaConf.create([masked(override) for override in overrides])
        write_text(self.folder / "overrides.yaml", OmegaConf.to_yaml(given))
        write_json(self.folder / "environment.json", describe_environment(self.config.seed))
        self.manifest.save()
