"""What surrounds every run: platform, caches, consents, and agreement of its processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import lightning as L
import torch
from omegaconf import DictConfig
from torch import nn

from spikeformer.data import SpikingDataModule
from spikeformer.hardware import Reference, Samples
from spikeformer.pipeline.caching import make_caches, reference_of
from spikeformer.pipeline.platform import announce_choice, data_choices, resolve_trainer
from spikeformer.pipeline.privacy import consent_watch, make_gate, record_use, set_gate
from spikeformer.pipeline.ranks import SameConfiguration, announce
from spikeformer.runs.manifest import Manifest


class Services:
    """The policies of a run, applied at its turning points.

    Args:
        config: The composed configuration; what says `auto` in its group `trainer` is replaced by
            what the platform chooses.
        folder: The run folder.
    """

    def __init__(self, config: DictConfig, folder: Path) -> None:
        self.config, self.folder = config, folder
        self._choices = resolve_trainer(config)
        self.caches = make_caches(config)
        self.gate = make_gate(config)

    def before_data(self, data: SpikingDataModule) -> None:
        """Give the data their cache, and the gate that they have to pass.

        Raises:
            ConfigurationError: There is a gate, and the data are of a kind that names nobody.
        """
        data.cache = None if self.caches is None else self.caches.shared.tensors
        set_gate(self.gate, data)

    def around(self, callbacks: Sequence[L.Callback], data: SpikingDataModule) -> list[L.Callback]:
        """Return a training's callbacks with the services' own before and after them."""
        return [SameConfiguration(self.config), *callbacks, *self.watch(data)]

    def watch(self, data: SpikingDataModule) -> Sequence[L.Callback]:
        """Return what asks after each epoch of a training for consents."""
        return consent_watch(data, self.folder)

    def after_build(self, data: SpikingDataModule, trainer: L.Trainer) -> None:
        """Say what the platform has chosen, and why."""
        for choice in [*self._choices, *data_choices(self.config, data, trainer)]:
            announce_choice(choice)

    def before_stages(self) -> None:
        """Put on record whose data the run uses.

        Raises:
            ConsentsChangedError: The run was begun with data of others.
        """
        if self.gate is not None:
            record_use(self.gate, self.caches, self.folder, self.config.checkpoint)

    def before_stage(self, data: SpikingDataModule, trainer: L.Trainer) -> None:
        """Ask whether the data may still be used.

        Raises:
            ConsentsChangedError: Somebody withdrew, and the run is to stop then.
            DataError: Nothing is left of a split.
        """
        for watch in consent_watch(data, self.folder):
            watch.ask(trainer)

    def note_caches(self, manifest: Manifest) -> None:
        """Put into the manifest, at its next change, how often the caches were hit."""
        if self.caches is not None:
            manifest.cache = self.caches.to_dict()

    def after_stage(self, manifest: Manifest, stage: str) -> None:
        """Put on record what a stage wrote."""
        outputs = manifest.stages[stage].outputs
        if self.gate is not None and outputs:
            self.gate.record_outputs(self.folder, outputs)

    def close(self) -> None:
        """Say how often the caches were hit."""
        if self.caches is not None and self.caches.stats.lookups:
            announce("cache", str(self.caches.stats))

    def reference(
        self, net: nn.Module, samples: Samples, dtype: torch.dtype = torch.float64
    ) -> Reference:
        """Return all spikes of a network, recorded once for all stages where there is a cache."""
        return reference_of(self.caches, net, samples, dtype)
