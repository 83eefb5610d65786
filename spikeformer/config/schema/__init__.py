"""Schemas of the config groups; importing this package registers all of them."""

from spikeformer.config.schema import (
    components,
    conversion,
    data,
    hardware,
    research,
    running,
    training,
)
from spikeformer.config.schema.register import schema

__all__ = [
    "components",
    "conversion",
    "data",
    "hardware",
    "research",
    "running",
    "schema",
    "training",
]
