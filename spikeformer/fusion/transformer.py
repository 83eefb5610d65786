"""The transformer behind several modalities."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from spikeformer.config import FusionConfig
from spikeformer.error_handling import check_choice, check_interval, check_positive_int
from spikeformer.fusion.base import ModalityFusion
from spikeformer.fusion.concat import ConcatFusion
from spikeformer.fusion.cross_attention import CrossModalAttentionFusion
from spikeformer.fusion.gated import GatedFusion
from spikeformer.fusion.late import ConfidenceAverage
from spikeformer.fusion.modalities import (
    Masks,
    check_inputs,
    drop_modalities,
    over_tokens,
    select_present,
    token_mask,
)
from spikeformer.models.attention import AttentionFactory, SpikingAttention
from spikeformer.models.block import BlockStack, SpikingBlock
from spikeformer.models.heads import ClassificationHead
from spikeformer.models.mechanisms import SpikeDrivenAttention
from spikeformer.neurons import LifNeuron, NeuronFactory

FUSIONS: dict[str, type[ModalityFusion]] = {
    "cross_attention": CrossModalAttentionFusion,
    "concat": ConcatFusion,
    "gated": GatedFusion,
    "late": ConcatFusion,
}
"""How tokens are joined, by `FusionConfig.fusion_type`; "late" joins outputs instead."""


class MultiModalSpikeTransformer(nn.Module):
    r"""Classifier of samples with several modalities.

    The spikes of each modality are projected into one space, joined as `fusion_config.fusion_type`
    says, sent through blocks that attend over the tokens of all modalities, and read out:

    - "cross_attention": `CrossModalAttentionFusion`, then the blocks;
    - "concat": `ConcatFusion`, then the blocks;
    - "gated": `GatedFusion`, then the blocks;
    - "late": each modality has blocks and a readout of its own; their logits are averaged with
      `ConfidenceAverage`.

    Samples may lack modalities, single ones or all of them. What lacks takes no part anywhere:
    logits equal those of a batch that never had it.

    Args:
        fusion_config: Fusion, channels, heads, dropout, temperature and timesteps.
        modality_dims: Channels of each modality's spikes, by its name.
        num_classes: Number of classes.
        num_layers: Number of blocks; with "late" of each modality.
        mlp_ratio: Width of the MLP's hidden layer over `shared_dim`.
        modality_dropout: Probability of leaving out each modality of a training sample; one always
            stays. It teaches the network to do without.
        neuron: Factory of the spiking neurons: a class or a `functools.partial` of one.
        threshold: Their threshold.
        attention: Factory of the blocks' attention layers; None is `SpikeDrivenAttention`, which
            lets tokens meet at linear cost.
        residual: "membrane" or "sew".
        norm: "batch" or "layer".
        binary_input: Promise that inputs are exactly 0 or 1, so that training keeps one bit each.

    Raises:
        ArgumentError: A value is outside its range.

    Example:
        >>> import torch
        >>> config = FusionConfig(shared_dim=16, num_heads=2, timesteps=4)
        >>> dims = {"vision": 8, "audio": 5}
        >>> model = MultiModalSpikeTransformer(config, dims, num_classes=3, num_layers=1).eval()
        >>> vision, audio = torch.rand(2, 4, 9, 8).round(), torch.rand(2, 4, 5).round()
        >>> model({"vision": vision, "audio": audio}).shape
        torch.Size([2, 3])
        >>> without = model({"vision": vision, "audio": None})
        >>> deaf = {"audio": torch.zeros(2, dtype=torch.bool)}
        >>> torch.equal(model({"vision": vision, "audio": audio}, deaf), without)
        True
    """

    def __init__(
        self,
        fusion_config: FusionConfig,
        modality_dims: Mapping[str, int],
        num_classes: int,
        num_layers: int = 6,
        *,
        mlp_ratio: float = 4.0,
        modality_dropout: float = 0.0,
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
        attention: AttentionFactory | None = None,
        residual: str = "membrane",
        norm: str = "batch",
        binary_input: bool = False,
    ) -> None:
        super().__init__()
        config = fusion_config
        check_choice("fusion_type", config.fusion_type, FUSIONS)
        check_positive_int("num_layers", num_layers)
        self.modality_dropout = check_interval("modality_dropout", modality_dropout, 0.0, 1.0)
        self.timesteps = config.timesteps
        parts: dict[str, Any] = {"neuron": neuron, "threshold": threshold, "norm": norm}
        self.fusion = FUSIONS[config.fusion_type](
            config, modality_dims, binary_input=binary_input, **parts
        )
        block = partial(
            SpikingBlock,
            config.shared_dim,
            config.num_heads,
            config.timesteps,
            mlp_ratio=mlp_ratio,
            dropout=config.dropout,
            attention=attention
            or partial(SpikingAttention, mechanism=SpikeDrivenAttention, dropout=config.dropout),
            residual=residual,
            **parts,
        )
        # Outputs are joined late by one branch for each modality, tokens early by a common one.
        self.late = config.fusion_type == "late"
        branches = list(self.fusion.modality_dims) if self.late else ["all"]
        self.average = ConfidenceAverage(config.temperature) if self.late else None
        self.blocks = nn.ModuleDict(
            {
                name: BlockStack([block() for _ in range(num_layers)], neuron(threshold=threshold))
                for name in branches
            }
        )
        self.heads = nn.ModuleDict(
            {name: ClassificationHead(config.shared_dim, num_classes) for name in branches}
        )

    @property
    def linear_between_neurons(self) -> bool:
        """Whether only neurons are not linear: not where outputs are averaged by confidence."""
        return not self.late

    @property
    def modality_dims(self) -> dict[str, int]:
        """Channels of each modality's spikes, by its name."""
        return self.fusion.modality_dims

    def forward(
        self,
        modality_inputs: Mapping[str, Tensor | None],
        modality_mask: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Classify samples.

        Args:
            modality_inputs: Spikes by modality, (batch, timesteps, tokens, dim) or (batch,
                timesteps, dim); a missing modality is None or left out.
            modality_mask: True at the samples that have a modality, bool (batch,); a modality
                without a mask is there in every sample.

        Returns:
            Logits averaged over time, (batch, num_classes).

        Raises:
            ArgumentError: A modality is unknown, or there is none.
            SpikingDynamicsError: Shapes do not fit, or a sample has no modality.
        """
        return self.evidence(modality_inputs, modality_mask).mean(dim=1)

    def evidence(
        self,
        modality_inputs: Mapping[str, Tensor | None],
        modality_mask: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Return the logits of every timestep, (batch, timesteps, num_classes); see `forward`."""
        inputs = check_inputs(modality_inputs, self.modality_dims, self.timesteps)
        inputs, masks = select_present(inputs, modality_mask, self.modality_dims)
        if self.training and self.modality_dropout and len(inputs) > 1:
            inputs, masks = select_present(inputs, self._dropped(inputs, masks), self.modality_dims)
        tokens = self.fusion.join(inputs, masks)
        if self.late:
            return self._late(tokens, inputs, masks)
        mask = token_mask(inputs, masks)
        outputs: Tensor = self.heads["all"](self.blocks["all"](tokens, mask), mask)
        return outputs

    def _dropped(self, inputs: dict[str, Tensor], masks: Masks) -> dict[str, Tensor]:
        """Return masks with modality dropout."""
        first = next(iter(inputs.values()))
        there = first.new_ones(first.shape[0], dtype=torch.bool)
        present = torch.stack([there if m is None else m for m in masks.values()], dim=1)
        kept = drop_modalities(present, self.modality_dropout)
        return dict(zip(inputs, kept.unbind(dim=1), strict=True))

    def _late(self, tokens: Tensor, inputs: dict[str, Tensor], masks: Masks) -> Tensor:
        """Classify by each modality alone and average the outputs by confidence."""
        branches = []
        sizes = [x.shape[2] for x in inputs.values()]
        for name, x in zip(inputs, torch.split(tokens, sizes, dim=2), strict=True):
            mask = over_tokens(masks[name], x.shape[2])
            branches.append(self.heads[name](self.blocks[name](x, mask), mask))
        outputs = torch.stack(branches)
        present = None
        if any(mask is not None for mask in masks.values()):
            there = outputs.new_ones(outputs.shape[1], dtype=torch.bool)
            present = torch.stack([there if mask is None else mask for mask in masks.values()])
        assert self.average is not None
        averaged: Tensor = self.average(outputs, present)
        return averaged
