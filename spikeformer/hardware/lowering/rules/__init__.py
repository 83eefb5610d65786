"""The rules for this project's layers and torch's; importing this package registers them."""

from spikeformer.hardware.lowering.rules import (
    affine,
    arithmetic,
    encoding,
    linear,
    modalities,
    neurons,
    norm,
    pooling,
    tokens,
)

__all__ = [
    "affine",
    "arithmetic",
    "encoding",
    "linear",
    "modalities",
    "neurons",
    "norm",
    "pooling",
    "tokens",
]
