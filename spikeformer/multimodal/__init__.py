"""Encoders of images, sounds and texts, and a network of several modalities."""

from spikeformer.multimodal.audio import AudioSpikeEncoder, LogMelFrames
from spikeformer.multimodal.encoder import ModalityEncoder
from spikeformer.multimodal.network import MultiModalNetwork
from spikeformer.multimodal.text import TextSpikeEncoder
from spikeformer.multimodal.vision import VisionSpikeEncoder

__all__ = [
    "AudioSpikeEncoder",
    "LogMelFrames",
    "ModalityEncoder",
    "MultiModalNetwork",
    "TextSpikeEncoder",
    "VisionSpikeEncoder",
]
