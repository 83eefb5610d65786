"""A run: its folder, its configuration, its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from spikeformer.config import masked, recorded
from spikeformer.files import replacing, write_json, write_text
from spikeformer.pipeline.build import Components
from spikeformer.pipeline.environment import describe_environment
from spikeformer.runs import DataResults
from spikeformer.runs.layout import RunFolder
from spikeformer.runs.manifest import Manifest, StageRecord
from spikeformer.runs.network import choose_checkpoint, put_weights, read_weights


@dataclass
class Run:
    """What every stage gets.

    Attributes:
        folder: The run folder.
        config: The composed configuration.
        parts: Data, module, trainer and loggers made from it.
        manifest: What has been done so far.
        previous: The stages' records as an earlier attempt left them.
        contents: A hash of the files behind each part of the configuration that names some.
        newest: Which weights stages get that ask for the last ones.
    """

    folder: Path
    config: DictConfig
    parts: Components
    manifest: Manifest
    previous: dict[str, StageRecord]
    contents: Mapping[str, str] = field(default_factory=dict)
    newest: str = "last"
    _weights: dict[tuple[Path, int], dict[str, Tensor]] = field(default_factory=dict, repr=False)

    @property
    def files(self) -> RunFolder:
        """Where everything lies in the folder."""
        return RunFolder(self.folder)

    @property
    def last_checkpoint(self) -> Path:
        """The checkpoint after the last full epoch."""
        return self.files.checkpoint("last")

    def trained(self, weights: str = "last") -> nn.Module:
        """Return the run's network with what it trained, or else the checkpoint that it was given.

        Each file is read once. A network that has the weights already is left alone.

        Args:
            weights: "last", "best", or "finetuned" for the chip.

        Raises:
            ConfigurationError: There are no such weights, or not of this network.
        """
        weights = self.newest if weights == "last" else weights
        file = choose_checkpoint(self.files, self.config, weights)
        key = (file, file.stat().st_mtime_ns if file.is_file() else 0)
        if key not in self._weights:
            self._weights[key] = read_weights(file)
        put_weights(self.parts.module, self._weights[key], file)
        net: nn.Module = self.parts.module.net.eval()
        return net

    def save_weights(self, file: Path) -> None:
        """Write a checkpoint of the network as it is, and of how its data were prepared."""
        data = self.parts.data
        kept = {"state_dict": self.parts.module.state_dict()}
        with replacing(file) as path:
            torch.save({**kept, type(data).__qualname__: data.state_dict()}, path)

    @rank_zero_only
    def write_description(self, overrides: list[str]) -> None:
        """Write the configuration, what the user changed in it, environment and preparation."""
        content = OmegaConf.create(recorded(self.config))
        write_text(self.files.config, OmegaConf.to_yaml(content))
        given = OmegaConf.create([masked(override) for override in overrides])
        write_text(self.files.overrides, OmegaConf.to_yaml(given))
        write_json(self.files.environment, describe_environment(self.config.seed))
        data = self.parts.data
        split = None if data.named_split is None else str(data.named_split)
        DataResults(**vars(data.preparation), split=split).save(self.files)
        self.manifest.save()
