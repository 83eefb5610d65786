"""Spike encoders: continuous values in, spike trains out."""

from spikeformer.encoding.base import SpikeEncoder
from spikeformer.encoding.delta import DeltaCoding
from spikeformer.encoding.direct import DirectCoding
from spikeformer.encoding.events import EventCoding, FrameCoding, TimedCoding
from spikeformer.encoding.latency import LatencyCoding
from spikeformer.encoding.rate import PoissonCoding, RateCoding

ENCODERS: dict[str, type[SpikeEncoder]] = {
    "direct": DirectCoding,
    "rate": RateCoding,
    "poisson": PoissonCoding,
    "latency": LatencyCoding,
    "delta": DeltaCoding,
    "events": EventCoding,
    "frames": FrameCoding,
}
"""Encoders by the names that `SpikingConfig.spike_encoding` accepts."""

__all__ = [
    "ENCODERS",
    "DeltaCoding",
    "DirectCoding",
    "EventCoding",
    "FrameCoding",
    "LatencyCoding",
    "PoissonCoding",
    "RateCoding",
    "SpikeEncoder",
    "TimedCoding",
]
