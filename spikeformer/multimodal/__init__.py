"""Encoders that turn images, sounds and texts into spikes, and a network that hears and sees."""

from spikeformer.multimodal.audio import AudioSpikeEncoder
from spikeformer.multimodal.encoder import SensoryEncoder
from spikeformer.multimodal.network import MultiModalNetwork
from spikeformer.multimodal.text import TextSpikeEncoder
from spikeformer.multimodal.vision import VisionSpikeEncoder

__all__ = [
    "AudioSpikeEncoder",
    "MultiModalNetwork",
    "SensoryEncoder",
    "TextSpikeEncoder",
    "VisionSpikeEncoder",
]
