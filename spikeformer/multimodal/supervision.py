"""Keeps each sense learning, however well another one does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol, cast

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from spikeformer.error_handling import ConfigurationError, check_positive
from spikeformer.i18n import t
from spikeformer.models import ClassificationHead
from spikeformer.multimodal.encoder import SensoryEncoder
from spikeformer.multimodal.network import MultiModalNetwork

NAME = "sense_supervision"


class _Trainable(Protocol):
    net: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    penalties: dict[str, Callable[[], Tensor | None]]


class SenseSupervision(L.Callback):
    r"""Asks each sense for the answer by itself, while training: `weight * sum_m loss(W_m s_m)`.

    s_m are the spikes of encoder m, averaged over its tokens; W_m is a dense layer that is trained
    with the network and no part of it. Without this, a network learns from the sense that is
    learnt fastest, and the others get little gradient once that one answers well.

    Args:
        weight: Factor on the sum of the senses' losses; above 0.

    Raises:
        ConfigurationError: In `setup`, if the network is no `MultiModalNetwork`, or is sharded.

    Source: losses of single modalities beside that of all, Wang et al., *What Makes Training
    Multi-Modal Classification Networks Hard?*, CVPR 2020, arXiv:1905.12681.
    """

    def __init__(self, weight: float = 0.5) -> None:
        self.weight = check_positive("weight", weight)
        self._handles: list[RemovableHandle] = []
        self._spikes: dict[str, Tensor] = {}
        self._batch: Any = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Give the module a readout for each sense, before it makes its optimizer."""
        if stage != "fit":
            return
        module = cast(_Trainable, pl_module)
        net = module.net
        if not isinstance(net, MultiModalNetwork):
            raise ConfigurationError(t("multimodal.no_senses", type=type(net).__name__))
        if trainer.strategy.__class__.__name__ == "ShardedStrategy":
            raise ConfigurationError(t("multimodal.not_sharded"))
        pl_module.sense_readouts = nn.ModuleDict(
            {
                name: ClassificationHead(cast(SensoryEncoder, encoder).embed_dim, net.num_classes)
                for name, encoder in net.encoders.items()
            }
        )
        module.penalties[NAME] = partial(self.penalty, module)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start watching the encoders."""
        net = cast(MultiModalNetwork, pl_module.net)
        self._handles = [
            encoder.register_forward_hook(partial(self._observe, name))
            for name, encoder in net.encoders.items()
        ]

    def _observe(self, name: str, encoder: nn.Module, inputs: Any, spikes: Tensor) -> None:
        if spikes.requires_grad:
            self._spikes[name] = spikes

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Forget the batch before."""
        self._spikes.clear()
        self._batch = batch

    def penalty(self, module: _Trainable) -> Tensor | None:
        """Return the weighted losses of the senses in the last forward pass, None if none fired."""
        inputs, target = self._batch
        masks: Mapping[str, Tensor] = inputs.get("modality_mask") or {}
        readouts = cast(nn.ModuleDict, cast(Any, module).sense_readouts)
        losses = []
        for name, spikes in self._spikes.items():
            # An encoder sees the samples alone that have its sense.
            own = target[masks[name]] if len(spikes) < len(target) else target
            losses.append(module.loss(readouts[name](spikes), own))
        self._spikes.clear()
        return self.weight * torch.stack(losses).sum() if losses else None

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Leave no hooks behind."""
        self._stop(pl_module)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Leave no hooks behind here either: Lightning calls no `teardown` after an error."""
        self._stop(pl_module)

    def _stop(self, pl_module: L.LightningModule) -> None:
        while self._handles:
            self._handles.pop().remove()
        self._spikes.clear()
        self._batch = None
        cast(_Trainable, pl_module).penalties.pop(NAME, None)
