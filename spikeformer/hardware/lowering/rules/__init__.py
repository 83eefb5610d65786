"""The rules for this project's layers and torch's; importing this package registers them."""

from spikeformer.hardware.lowering.rules import arithmetic, encoding, linear, neurons, norm, pooling

__all__ = ["arithmetic", "encoding", "linear", "neurons", "norm", "pooling"]
