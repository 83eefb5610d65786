"""Schemas of the config groups; importing this package registers all of them."""

from spikeformer.config.schema import components, data, running, training

__all__ = ["components", "data", "running", "training"]
