"""The hierarchical spiking transformer: stages of falling resolution and growing width."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from spikeformer.encoding import SpikeEncoder
from spikeformer.error_handling import ArgumentError, SpikingDynamicsError, check_divisible
from spikeformer.models.attention import AttentionFactory, SpikingAttention
from spikeformer.models.block import BlockStack, check_output
from spikeformer.models.mechanisms import QKTokenAttention
from spikeformer.models.merging import (
    EmbeddingFactory,
    MergingFactory,
    PatchEmbedding,
    PatchMerging,
)
from spikeformer.models.spiking_vit import ImageBackbone, tell_grid
from spikeformer.models.stem import SpikingConv, to_frames, to_tokens
from spikeformer.neurons import LifNeuron, NeuronFactory, SpikingNeuron

_QK = partial(SpikingAttention, mechanism=QKTokenAttention, dropout=0.0)
_SSA = partial(SpikingAttention, dropout=0.0)


class DepthwiseMixing(nn.Module):
    """Mixes tokens by a depth-wise convolution, in the place of attention.

    Spikes in, currents out.

    Args:
        dim: Channels of a token.
        num_heads: Not looked at; as for attention.
        timesteps: Number of timesteps.
        kernel_size: Pixels that a token sees in both directions; odd.
        neuron: Factory of the spiking neurons; none is needed here.
        threshold: Their threshold.
        norm: "batch".
        causal: False: pixels have no order.
        binary_input: Promise that inputs are exactly 0 or 1, so that training keeps one bit each.

    Attributes:
        grid_size: Height and width of the token grid; the model that makes the layer sets it.

    Source: Fang et al., *Spiking Neural Networks Need High-Frequency Information*, NeurIPS 2025,
    arXiv:2505.18608.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        timesteps: int,
        kernel_size: int = 3,
        *,
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
        norm: str = "batch",
        causal: bool = False,
        binary_input: bool = False,
    ) -> None:
        super().__init__()
        if norm != "batch" or causal:
            raise ArgumentError("norm", norm, '"batch", and no causal order of pixels')
        self.grid_size = (1, 1)
        self.conv = SpikingConv(
            dim, dim, groups=dim, kernel_size=kernel_size, binary_input=binary_input
        )

    def forward(
        self, x: Tensor, mask: Tensor | None = None, *, neuron: SpikingNeuron | None = None
    ) -> Tensor:
        """Map spikes (batch, timesteps, tokens, dim) to currents, or to what `neuron` fires.

        Raises:
            SpikingDynamicsError: There is a mask, or not one token for each place of the grid.
        """
        height, width = self.grid_size
        if mask is not None or x.shape[2] != height * width:
            raise SpikingDynamicsError(
                f"Expected {height} x {width} tokens without padding, but got {x.shape[2]}"
                f"{'' if mask is None else ' and a mask'}."
            )
        current = to_tokens(self.conv(to_frames(x, height, width)))
        return current if neuron is None else neuron(current)


class HierarchicalViT(ImageBackbone):
    """Spiking transformer of several stages, each with half the height and width of the one before.

    Args:
        in_channels: Channels of the image.
        image_size: Height and width of the image in pixels; one number for both.
        d_model: Channels of a token in the last stage; each stage before has half of the next.
        nheads: Attention heads in each stage; each divides the stage's width.
        depths: Blocks in each stage, and so the number of stages.
        timesteps: Number of simulation timesteps.
        threshold: Spiking threshold of every neuron.
        mlp_ratio: Width of the MLPs' hidden layers over that of their stage.
        mlp_shortcut: Add the residual stream behind each of an MLP's two layers (`SpikingBlock`).
        dropout: Probability of dropping an output current of an MLP while training.
        embedding: Factory of what stands before the first stage.
        merging: Factory of what stands between two stages.
        mixers: Factory of the token mixers in each stage: attention, `DepthwiseMixing`, or None for
            blocks without one. By default all stages but the last have query-key token attention,
            and that has spiking self-attention, as in QKFormer.
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
        merging: MergingFactory = PatchMerging,
        mixers: Sequence[AttentionFactory | None] | None = None,
        encoding: SpikeEncoder | None = None,
        neuron: NeuronFactory = LifNeuron,
        residual: str = "sew",
        norm: str = "batch",
        output: str = "spikes",
    ) -> None:
        super().__init__(in_channels, image_size, timesteps, threshold, encoding)
        num_stages = len(depths)
        chosen = [*[_QK] * (num_stages - 1), _SSA] if mixers is None else list(mixers)
        for name, values in (("depths", depths), ("nheads", nheads), ("mixers", chosen)):
            if len(values) != num_stages or not values:
                expected = f"one for each of the {num_stages} stages that `depths` lists"
                raise ArgumentError(name, list(values), expected)
        self.d_model = check_divisible("d_model", d_model, "the first width", 2**num_stages)
        widths = [d_model // 2**stage for stage in reversed(range(num_stages))]
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
                layer = merging(widths[stage - 1], width, **shared)
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
                    norm=norm,
                    embedding_fires=residual == "sew",
                    output=output if last or residual == "sew" else "currents",
                    **shared,
                )
            )
            tell_grid(self.stages[-1], grid)
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
