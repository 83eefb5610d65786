"""Inputs for a network when nobody gave any: enough to find its path and a first scale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikeformer.data.batch import arguments
from spikeformer.error_handling import ConversionError

BATCH, TOKENS = 8, 32


def make_inputs(network: nn.Module) -> dict[str, Any] | tuple[Any, ...]:
    """Return arguments that a network accepts, the same at every call.

    Models of `transformers` say what they take: images get noise on every scale, as photographs
    have it, of mean 0 and standard deviation 1; text gets random tokens. For other networks the
    first layer with weights decides, and shapes that it could have are tried.

    Raises:
        ConversionError: No guess runs.
    """
    generator = torch.Generator().manual_seed(0)
    error: Exception | None = None
    for guess in _guesses(network, generator):
        try:
            with torch.no_grad():
                args, kwargs = arguments(guess)
                network(*args, **kwargs)
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as failure:
            error = failure
        else:
            return guess
    name = type(network).__name__
    if error is None:
        raise ConversionError(
            f"No example input could be guessed for {name}. Pass one: convert(model, "
            "example_inputs=...), a tensor, a tuple of positional or a dict of keyword "
            "arguments; or use ConversionPipeline with calibration data."
        )
    reason = str(error).splitlines()[0]
    raise ConversionError(
        f"No example input could be guessed for {name} (the last guess failed: {reason}). "
        "Pass one: convert(model, example_inputs=...), a tensor, a tuple of positional or "
        "a dict of keyword arguments; or use ConversionPipeline with calibration data."
    )


def _guesses(network: nn.Module, generator: torch.Generator) -> Iterator[Any]:
    first = next((p for p in network.parameters() if p.is_floating_point()), None)
    device, dtype = (first.device, first.dtype) if first is not None else (None, torch.float32)
    config: Any = getattr(network, "config", None)
    main = getattr(network, "main_input_name", "")
    if config is not None and main == "pixel_values":
        size = getattr(config, "image_size", 224)
        height, width = (size, size) if isinstance(size, int) else size
        pixels = images((BATCH, getattr(config, "num_channels", 3), height, width), generator)
        yield {"pixel_values": pixels.to(device, dtype)}
    elif config is not None and main == "input_ids":
        # RoBERTa counts positions from behind its padding token.
        length = min(TOKENS, getattr(config, "max_position_embeddings", TOKENS) - 2)
        ids = _tokens((BATCH, max(1, length)), config.vocab_size, generator).to(device)
        text = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        decoded = {"decoder_input_ids": ids} if getattr(config, "is_encoder_decoder", False) else {}
        yield {**text, **decoded}
    for shape, kind in _shapes(network):
        if isinstance(kind, int):
            yield (_tokens(shape, kind, generator).to(device),)
        elif len(shape) == 4:
            yield (images(shape, generator).to(device, dtype),)
        else:
            yield (torch.randn(shape, generator=generator).to(device, dtype),)


def _shapes(network: nn.Module) -> Iterator[tuple[tuple[int, ...], int | None]]:
    """Yield shapes that the first layer with weights could take, and the number of tokens."""
    for layer in network.modules():
        if isinstance(layer, nn.Embedding):
            yield (BATCH, TOKENS), layer.num_embeddings
        elif isinstance(layer, nn.Conv2d):
            for side in (32, 28, 64, 96, 224, 8, 16):
                yield (BATCH, layer.in_channels, side, side), None
        elif isinstance(layer, nn.Conv1d):
            yield (BATCH, layer.in_channels, TOKENS), None
        elif isinstance(layer, nn.Linear):
            yield (BATCH, layer.in_features), None
            yield (BATCH, TOKENS, layer.in_features), None
        elif isinstance(layer, nn.LayerNorm):
            yield (BATCH, TOKENS, *layer.normalized_shape), None
        elif isinstance(layer, nn.MultiheadAttention):
            yield (BATCH, TOKENS, layer.embed_dim), None
        else:
            continue
        return


def images(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return noise on every scale, (batch, channels, height, width), mean 0 and deviation 1."""
    batch, channels, height, width = shape
    total = torch.zeros(shape)
    side = 1
    while side <= max(height, width):
        coarse = torch.randn((batch, channels, side, side), generator=generator)
        total += F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)
        side *= 2
    return (total - total.mean()) / total.std()


def _tokens(shape: tuple[int, ...], vocabulary: int, generator: torch.Generator) -> Tensor:
    return torch.randint(0, vocabulary, shape, generator=generator)
