"""What the processes of a distributed run make sure of, and what one of them says for all."""

from __future__ import annotations

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from spikeformer.error_handling import ConfigurationError
from spikeformer.files import value_hash
from spikeformer.i18n import t

_OF_THE_PROCESS = ("logger", "paths", "pipeline")


class SameConfiguration(L.Callback):
    """Refuses to train when the processes of one run have been given different values.

    Args:
        config: This process's configuration.
    """

    def __init__(self, config: DictConfig) -> None:
        values = OmegaConf.to_container(config, resolve=True)
        assert isinstance(values, dict)
        shared = {key: value for key, value in values.items() if key not in _OF_THE_PROCESS}
        self.fingerprint = int(value_hash(shared)[:15], 16)  # it fits a 64-bit integer

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Compare all ranks' values, and fail on every one of them if they differ.

        Raises:
            ConfigurationError: They do.
        """
        if trainer.world_size == 1:
            return
        mine = torch.tensor(self.fingerprint, device=trainer.strategy.root_device)
        highest = trainer.strategy.reduce(mine.clone(), reduce_op="max")
        lowest = -trainer.strategy.reduce(-mine, reduce_op="max")
        if highest != lowest:
            raise ConfigurationError(t("pipeline.different_ranks"))


@rank_zero_only
def announce(name: str, text: str) -> None:
    """Print a stage's line."""
    print(f"{name:<8} {text}", flush=True)
