"""The hierarchical spiking transformer: stages of falling resolution and growing width."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from spikeformer.encoding import SpikeEncoder
from spikeformer.error_handling import ArgumentError, check_divisible, check_positive_int
from spikeformer.models.attention import AttentionFactory, SpikingAttention
from spikeformer.models.block import BlockStack, MlpFactory, SpikingMLP, check_output
from spikeformer.models.embedding import EmbeddingFactory, PatchEmbedding
from spikeformer.models.mechanisms import QKTokenAttention
from spikeformer.models.merging import MergingFactory, PatchMerging
from spikeformer.models.spiking_vit import ImageBackbone, set_grid_size
from spikeformer.models.stem import to_frames, to_tokens
from spikeformer.neurons import LifNeuron, NeuronFactory

_QK = partial(SpikingAttention, mechanism=QKTokenAttention, dropout=0.0)
_SSA = partial(SpikingAttention, dropout=0.0)


class HierarchicalViT(ImageBackbone):
    """Spiking transformer of several stages, each with half the height and width of the one before.

    Args:
        in_channels: Channels of the image.
        image_size: Height and width of the image in pixels; one number for both.
        d_model: Channels of a token in the last stage; each stage before has half of the next.
        widths: Channels of a token in each stage, where they are others; the last is `d_model`.
        nheads: Attention heads in each stage; each divides the stage's width.
        depths: Blocks in each stage, and so the number of stages.
        timesteps: Number of simulation timesteps.
        threshold: Spiking threshold of every neuron.
        mlp_ratio: Width of the MLPs' hidden layers over that of their stage.
        mlp_shortcut: Add the residual stream behind each of an MLP's two layers (`SpikingBlock`).
        dropout: Probability of dropping an output current of an MLP while training.
        embedding: Factory of what stands before the first stage.
        merging: Factory of what stands between two stages; a list has one for each.
        mixers: Factory of the token mixers in each stage: attention, `DepthwiseMixing`, or None for
            blocks without one. By default all stages but the last have query-key token attention,
            and that has spiking self-attention, as in QKFormer.
        local_mixers: Factory of one more token mixer in front of that, in each stage; or None.
        mlps: Factory of the MLPs in each stage: `SpikingMLP`, which is the default, or `ConvMLP`.
        encoding: Spike encoder of the image; None is direct coding.
        neuron: Factory of the spiking neurons: a class or a `functools.partial` of one.
        residual: "sew" or "membrane".
        norm: Normalisation in the blocks: "batch" or "layer".
        output: "spikes" of all tokens; "pooled", the spikes that their mean fires, as one token; or
            "currents". The last two are for the residual "membrane".

    Source: Zhou et al., *QKFormer*, NeurIPS 2024, arXiv:2403.16552.

    Example:
        >>> import torch
        >>> model = HierarchicalViT(3, 32, d_model=64, nheads=[2, 2, 2], depths=[1, 1, 1])
        >>> model(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 4, 4, 64])
    """

    def __init__(
        self,
        in_channels: int = 3,
        image_size: int | Sequence[int] = 32,
        d_model: int = 384,
        nheads: Sequence[int] = (8, 8, 8),
        depths: Sequence[int] = (1, 1, 2),
        timesteps: int = 4,
        threshold: float = 1.0,
        *,
        mlp_ratio: float = 4.0,
        mlp_shortcut: bool = False,
        dropout: float = 0.0,
        embedding: EmbeddingFactory = PatchEmbedding,
        merging: MergingFactory | Sequence[MergingFactory] = PatchMerging,
        mixers: Sequence[AttentionFactory | None] | None = None,
        local_mixers: Sequence[AttentionFactory | None] | None = None,
        mlps: Sequence[MlpFactory] | None = None,
        widths: Sequence[int] | None = None,
        encoding: SpikeEncoder | None = None,
        neuron: NeuronFactory = LifNeuron,
        residual: str = "sew",
        norm: str = "batch",
        output: str = "spikes",
    ) -> None:
        super().__init__(in_channels, image_size, timesteps, threshold, encoding)
        num_stages = len(depths)
        chosen = [*[_QK] * (num_stages - 1), _SSA] if mixers is None else list(mixers)
        local = [None] * num_stages if local_mixers is None else list(local_mixers)
        made = [SpikingMLP] * num_stages if mlps is None else list(mlps)
        between = [merging] * (num_stages - 1) if callable(merging) else list(merging)
        if widths is None:
            check_divisible("d_model", d_model, "the first width", 2**num_stages)
            widths = [d_model // 2**stage for stage in reversed(range(num_stages))]
        elif not widths or widths[-1] != d_model:
            raise ArgumentError("widths", list(widths), f"d_model={d_model} in the last stage")
        self.d_model = check_positive_int("d_model", d_model)
        for name, values in (
            ("depths", depths),
            ("nheads", nheads),
            ("widths", widths),
            ("mixers", chosen),
            ("local_mixers", local),
            ("mlps", made),
        ):
            if len(values) != num_stages or not values:
                expected = f"one for each of the {num_stages} stages that `depths` lists"
                raise ArgumentError(name, list(values), expected)
        if len(between) != num_stages - 1:
            expected = f"one, or one for each of the {num_stages - 1} places between stages"
            raise ArgumentError("merging", between, expected)
        check_output(output, residual)
        shared: dict[str, Any] = {"residual": residual, "neuron": neuron, "threshold": threshold}
        self.embeddings = nn.ModuleList()
        self.stages = nn.ModuleList()
        self.grid_sizes: list[tuple[int, int]] = []
        grid = (self.image_shape[-2], self.image_shape[-1])
        for stage, (width, heads, depth) in enumerate(zip(widths, nheads, depths, strict=True)):
            check_divisible("d_model", width, "nheads", heads)
            if stage == 0:
                layer: nn.Module = embedding(in_channels, width, timesteps, **shared)
            else:
                layer = between[stage - 1](widths[stage - 1], width, **shared)
            grid = layer.output_size(*grid)  # type: ignore[operator]
            last = stage == num_stages - 1
            self.embeddings.append(layer)
            self.grid_sizes.append(grid)
            self.stages.append(
                BlockStack.of(
                    depth,
                    width,
                    heads,
                    timesteps,
                    mlp_ratio=mlp_ratio,
                    mlp_shortcut=mlp_shortcut,
                    dropout=dropout,
                    attention=chosen[stage],
                    local=local[stage],
                    mlp=made[stage],
                    norm=norm,
                    embedding_fires=residual == "sew",
                    output=output if last or residual == "sew" else "currents",
                    **shared,
                )
            )
            set_grid_size(self.stages[-1], grid)
        # Channels-last convolutions hand their output to the token layers without a copy.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor:
        """Compute the features of a batch of images.

        Args:
            images: Shape (batch, in_channels, height, width), in the range of the encoder; for an
                encoder whose data have a time axis (batch, timesteps, in_channels, height, width).

        Returns:
            Spikes of shape (batch, timesteps, tokens of the last stage, d_model); for the
            residual "sew" small integers. The argument `output` has them pooled, or currents.

        Raises:
            SpikingDynamicsError: `images` has another shape.
        """
        x = self.frames(images)
        tokens = x
        for stage, grid in enumerate(self.grid_sizes):
            tokens = self.stages[stage](to_tokens(self.embeddings[stage](x)))
            if stage < len(self.grid_sizes) - 1:
                x = to_frames(tokens, *grid)
        return tokens
