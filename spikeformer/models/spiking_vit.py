"""The spiking vision transformer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn

from spikeformer.config import Described, SpikingConfig
from spikeformer.encoding import ENCODERS, DirectCoding, SpikeEncoder
from spikeformer.error_handling import (
    ArgumentError,
    SpikingDynamicsError,
    check_choice,
    check_divisible,
    check_positive,
    check_positive_int,
)
from spikeformer.models.attention import AttentionFactory, SpikingAttention
from spikeformer.models.block import BlockStack
from spikeformer.models.from_config import model_arguments
from spikeformer.models.mechanisms import QKTokenAttention
from spikeformer.models.stem import ConvStem, StemFactory
from spikeformer.neurons import LifNeuron, NeuronFactory


class ImageBackbone(Described, nn.Module):
    """What all backbones for images share: the input and its time axis.

    Args:
        in_channels: Channels of the image.
        image_size: Height and width of the image in pixels; one number for both.
        timesteps: Number of simulation timesteps.
        threshold: Spiking threshold of every neuron.
        encoding: Spike encoder of the image; None is direct coding.
    """

    def __init__(
        self,
        in_channels: int,
        image_size: int | Sequence[int],
        timesteps: int,
        threshold: float,
        encoding: SpikeEncoder | None,
    ) -> None:
        super().__init__()
        size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
        if len(size) != 2:
            raise ArgumentError("image_size", size, "a height and a width")
        check_positive_int("in_channels", in_channels)
        height, width = (check_positive_int("image_size", side) for side in size)
        self.timesteps = check_positive_int("timesteps", timesteps)
        check_positive("threshold", threshold)
        self.encoding = encoding or DirectCoding(timesteps)
        if self.encoding.timesteps != timesteps:
            expected = f"an encoder with the model's timesteps={timesteps}"
            raise ArgumentError("encoding", self.encoding, expected)
        self.image_shape = self.encoding.sample_shape((in_channels, height, width))

    def frames(self, images: Tensor) -> Tensor:
        """Encode images as frames (batch, timesteps, channels, height, width).

        An input that stays the same comes with one timestep.

        Raises:
            SpikingDynamicsError: `images` has another shape than the backbone was made for.
        """
        check_images(images, self.image_shape)
        if isinstance(self.encoding, DirectCoding):
            return self.encoding.values(images).unsqueeze(1)
        return images.unsqueeze(1) if self.encoding.constant else self.encoding(images)


class SpikingViT(ImageBackbone):
    """Vision transformer that computes with spikes: convolutional stem, blocks, spikes out.

    Args:
        in_channels: Channels of the image.
        image_size: Height and width of the image in pixels; one number for both.
        d_model: Channels of a token.
        nhead: Number of attention heads; divides `d_model`.
        num_layers: Number of blocks.
        timesteps: Number of simulation timesteps.
        threshold: Spiking threshold of every neuron.
        mlp_ratio: Width of the MLP's hidden layer over `d_model`.
        dropout: Probability of dropping an output current of the MLP while training.
        stem_strides: Stride of each convolution of the default stem.
        stem: Factory of another stem, such as `SpikformerStem`; None is `ConvStem`.
        encoding: Spike encoder of the image; None is direct coding.
        neuron: Factory of the spiking neurons: a class or a `functools.partial` of one.
        attention: Factory of the attention layers.
        residual: "membrane" or "sew".
        norm: Normalisation in the blocks: "batch" or "layer".
        output: "spikes" of all tokens; "pooled", the spikes that their mean fires, as one token; or
            "currents".

    Example:
        >>> import torch
        >>> model = SpikingViT(in_channels=3, image_size=32, d_model=64, nhead=4, timesteps=4)
        >>> model(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 4, 64, 64])
    """

    def __init__(
        self,
        in_channels: int = 3,
        image_size: int | Sequence[int] = 32,
        d_model: int = 256,
        nhead: int = 8,
        num_layers: int = 4,
        timesteps: int = 4,
        threshold: float = 1.0,
        *,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        stem_strides: Sequence[int] = (1, 2, 2),
        stem: StemFactory | None = None,
        encoding: SpikeEncoder | None = None,
        neuron: NeuronFactory = LifNeuron,
        attention: AttentionFactory = partial(SpikingAttention, mechanism=QKTokenAttention),  # noqa: B008
        residual: str = "membrane",
        norm: str = "batch",
        output: str = "spikes",
    ) -> None:
        super().__init__(in_channels, image_size, timesteps, threshold, encoding)
        self.d_model = check_divisible("d_model", d_model, "nhead", nhead)
        height, width = self.image_shape[-2:]
        make_stem = stem or partial(ConvStem, strides=stem_strides)
        self.stem = make_stem(in_channels, d_model, timesteps, neuron=neuron, threshold=threshold)
        self.grid_size = self.stem.output_size(height, width)
        self.blocks = BlockStack.of(
            num_layers,
            d_model,
            nhead,
            timesteps,
            mlp_ratio=mlp_ratio,
            dropout=dropout,
            attention=attention,
            neuron=neuron,
            threshold=threshold,
            residual=residual,
            norm=norm,
            embedding_fires=self.stem.fires,
            output=output,
        )
        set_grid_size(self.blocks, self.grid_size)
        # Channels-last convolutions hand their output to the token layers without a copy.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def from_config(cls, config: SpikingConfig, **kwargs: Any) -> Self:
        """Build a model from a `SpikingConfig`.

        Args:
            config: Timesteps, neurons, spike encoding, dropout and norm.
            **kwargs: Further arguments of the constructor; they override the configuration's.

        Raises:
            ArgumentError: The configuration names an unknown neuron, surrogate or encoding.

        Example:
            >>> from spikeformer import SpikingConfig
            >>> config = SpikingConfig(timesteps=4, spike_encoding="direct")
            >>> model = SpikingViT.from_config(config, image_size=32, d_model=64)
        """
        encoder = ENCODERS[check_choice("spike_encoding", config.spike_encoding, ENCODERS)]
        arguments = model_arguments(config, QKTokenAttention)
        arguments["encoding"] = encoder(config.timesteps)
        return cls(**{**arguments, **kwargs})

    def forward(self, images: Tensor) -> Tensor:
        """Compute the features of a batch of images.

        Args:
            images: Shape (batch, in_channels, height, width), in the range of the encoder; for an
                encoder whose data have a time axis (batch, timesteps, in_channels, height, width).

        Returns:
            Spikes of shape (batch, timesteps, tokens, d_model); for `residual="sew"` small
            integers. The argument `output` has them pooled, or currents.

        Raises:
            SpikingDynamicsError: `images` has another shape.
        """
        features: Tensor = self.blocks(self.stem(self.frames(images)))
        return features


def set_grid_size(stack: nn.Module, grid: tuple[int, int]) -> None:
    """Set `grid_size`, height and width of the token grid, on the layers that have it."""
    for module in stack.modules():
        if hasattr(module, "grid_size"):
            module.grid_size = grid  # type: ignore[assignment]


def check_images(images: Tensor, image_shape: tuple[int, ...]) -> None:
    """Refuse images that are not (batch, *image_shape).

    Args:
        images: One image for each sample, or one for each of its timesteps.
        image_shape: (channels, height, width), or (timesteps, channels, height, width).

    Raises:
        SpikingDynamicsError: They have another shape.
    """
    if tuple(images.shape[1:]) != image_shape:
        steps = "timesteps, " if len(image_shape) == 4 else ""
        expected = ", ".join(map(str, image_shape))
        remedy = ""
        if images.ndim == 5 and tuple(images.shape[2:]) == image_shape:
            remedy = " Data with a time axis of their own need encoding=events or encoding=frames."
        elif images.ndim == 4 and tuple(images.shape[1:]) == image_shape[1:]:
            remedy = " Data without a time axis need another encoding, such as encoding=direct."
        raise SpikingDynamicsError(
            f"Expected images of shape (batch, {steps}channels, height, width) = (batch,"
            f" {expected}), but got {tuple(images.shape)}.{remedy}"
        )
