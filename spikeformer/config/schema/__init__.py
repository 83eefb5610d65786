"""Schemas of the config groups; importing this package registers all of them."""

from spikeformer.config.schema import components, data, hardware, running, training
from spikeformer.config.schema._register import schema

__all__ = ["components", "data", "hardware", "running", "schema", "training"]
