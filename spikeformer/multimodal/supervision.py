"""Keeps each sense learning, however well another one does."""

from __future__ import annotations

from collections.abc import Callable
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
    r"""Asks each sense for the answer by itself, while training: `weight * sum_m loss(a_m)`.

    Where senses are fused late, a_m are the logits of the sense's own branch. Elsewhere
    `a_m = W_m s_m` with s_m the spikes of encoder m, averaged over its tokens, and W_m a dense
    layer that is trained with the network and no part of it. Without this, a network learns from
    the sense that is learnt fastest, and the others get little gradient once that one answers well.

    It watches the spiking network, and asks nothing while `HybridPhases` trains with rates.

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
        self._answers: dict[str, tuple[Tensor, Tensor | None]] = {}
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
        if not net.transformer.late:
            pl_module.sense_readouts = nn.ModuleDict(
                {
                    name: ClassificationHead(
                        cast(SensoryEncoder, encoder).embed_dim, net.num_classes
                    )
                    for name, encoder in net.encoders.items()
                }
            )
        module.penalties[NAME] = partial(self.penalty, module)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start watching the heads of the senses, or their encoders."""
        net = cast(MultiModalNetwork, pl_module.net)
        if net.transformer.late:
            watched, observe = net.transformer.heads, self._observe_answer
        else:
            watched, observe = net.encoders, partial(self._observe_spikes, pl_module)
        self._handles = [
            layer.register_forward_hook(partial(observe, name)) for name, layer in watched.items()
        ]

    def _observe_answer(
        self, name: str, head: nn.Module, inputs: tuple[Tensor, Tensor | None], outputs: Tensor
    ) -> None:
        if outputs.requires_grad:
            _, mask = inputs
            present = None if mask is None else mask[:, 0]
            self._answers[name] = outputs if present is None else outputs[present], present

    def _observe_spikes(
        self,
        module: L.LightningModule,
        name: str,
        encoder: nn.Module,
        inputs: tuple[Tensor],
        spikes: Tensor,
    ) -> None:
        if spikes.requires_grad:
            readout = cast(nn.ModuleDict, module.sense_readouts)[name]
            # An encoder sees the samples alone that have its sense.
            samples, _ = self._batch
            self._answers[name] = readout(spikes), (samples.get("modality_mask") or {}).get(name)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Forget the batch before."""
        self._answers.clear()
        self._batch = batch

    def penalty(self, module: _Trainable) -> Tensor | None:
        """Return the weighted losses of the senses in the last forward pass, None if none fired."""
        _, target = self._batch
        losses = [
            module.loss(outputs, target if present is None else target[present])
            for outputs, present in self._answers.values()
        ]
        self._answers.clear()
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
        self._answers.clear()
        self._batch = None
        cast(_Trainable, pl_module).penalties.pop(NAME, None)
