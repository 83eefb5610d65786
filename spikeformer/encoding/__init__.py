"""Spike encoders: continuous values in, spike trains out."""

from spikeformer.encoding.base import SpikeEncoder
from spikeformer.encoding.delta import DeltaCoding
from spikeformer.encoding.direct import DirectCoding
from spikeformer.encoding.latency import LatencyCoding
from spikeformer.encoding.rate import PoissonCoding, RateCoding

__all__ = [
    "DeltaCoding",
    "DirectCoding",
    "LatencyCoding",
    "PoissonCoding",
    "RateCoding",
    "SpikeEncoder",
]
