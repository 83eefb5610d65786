"""Keeps each modality learning, however well another one does."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import lightning as L
import torch
from torch import Tensor, nn

from spikeformer.data.batch import split
from spikeformer.error_handling import ConfigurationError, check_positive
from spikeformer.i18n import t
from spikeformer.instrument import ModuleWatch
from spikeformer.models import ClassificationHead
from spikeformer.multimodal import ModalityEncoder, MultiModalNetwork
from spikeformer.training.callbacks.undone import UndoneCallback
from spikeformer.training.module import SpikingModule
from spikeformer.training.sharding import ShardedStrategy

NAME = "unimodal_loss"


class UnimodalLoss(UndoneCallback):
    r"""Adds the loss of each modality by itself while training: `weight * sum_m loss(a_m)`.

    In late fusion, a_m are the logits of the modality's own branch. Elsewhere
    `a_m = W_m s_m` with s_m the spikes of encoder m, averaged over its tokens, and W_m a dense
    layer that is trained with the network and no part of it. Without this, a network learns from
    the modality that is learnt fastest, and the others get little gradient once that one does well.

    It watches the spiking network, and adds nothing while `HybridPhases` trains with rates.

    Args:
        weight: Factor on the sum of the modalities' losses; above 0.

    Raises:
        ConfigurationError: In `setup`, if the network is no `MultiModalNetwork`, or is sharded.

    Source: losses of single modalities beside that of all, Wang et al., *What Makes Training
    Multi-Modal Classification Networks Hard?*, CVPR 2020, arXiv:1905.12681.
    """

    def __init__(self, weight: float = 0.5) -> None:
        self.weight = check_positive("weight", weight)
        self._watch: ModuleWatch | None = None
        self._outputs: dict[str, tuple[Tensor, Tensor | None]] = {}
        self._batch: Any = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Give the module a readout for each modality, before it makes its optimizer."""
        if stage != "fit":
            return
        module = cast(SpikingModule, pl_module)
        net = module.net
        if not isinstance(net, MultiModalNetwork):
            raise ConfigurationError(t("multimodal.one_network", type=type(net).__name__))
        if isinstance(trainer.strategy, ShardedStrategy):
            raise ConfigurationError(t("multimodal.not_sharded"))
        if not net.transformer.late:
            module.unimodal_readouts = nn.ModuleDict(
                {
                    name: ClassificationHead(
                        cast(ModalityEncoder, encoder).embed_dim, net.num_classes
                    )
                    for name, encoder in net.encoders.items()
                }
            )
        module.penalties[NAME] = partial(self.penalty, module)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start watching the heads of the modalities, or their encoders."""
        net = cast(MultiModalNetwork, pl_module.net)
        if net.transformer.late:
            heads = net.transformer.heads
            self._watch = ModuleWatch(
                heads, self._observe_head, ClassificationHead, uncompiled=False
            )
        else:
            observe = partial(
                self._observe_encoder, cast(nn.ModuleDict, pl_module.unimodal_readouts)
            )
            self._watch = ModuleWatch(net.encoders, observe, ModalityEncoder, uncompiled=False)

    def _observe_head(
        self, name: str, head: nn.Module, args: Any, kwargs: Mapping[str, Any], outputs: Tensor
    ) -> None:
        if outputs.requires_grad:
            _, mask = args
            present = None if mask is None else mask[:, 0]
            self._outputs[name] = outputs if present is None else outputs[present], present

    def _observe_encoder(
        self,
        readouts: nn.ModuleDict,
        name: str,
        encoder: nn.Module,
        args: Any,
        kwargs: Mapping[str, Any],
        spikes: Tensor,
    ) -> None:
        if spikes.requires_grad:
            # An encoder sees only the samples that have its modality.
            samples, _ = split(self._batch)
            masks = samples.get("modality_mask") or {}
            self._outputs[name] = readouts[name](spikes), masks.get(name)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Forget the batch before."""
        self._outputs.clear()
        self._batch = batch

    def penalty(self, module: SpikingModule) -> Tensor | None:
        """Return the weighted losses of the last forward pass, None if no modality fired."""
        _, target = split(self._batch)
        losses = [
            module.loss(outputs, target if present is None else target[present])
            for outputs, present in self._outputs.values()
        ]
        self._outputs.clear()
        return self.weight * torch.stack(losses).sum() if losses else None

    def undo(self, pl_module: L.LightningModule) -> None:
        """Leave neither hooks nor penalty behind."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        self._outputs.clear()
        self._batch = None
        cast(SpikingModule, pl_module).penalties.pop(NAME, None)
