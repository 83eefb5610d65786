"""Turn trained networks into spiking ones."""

from spikeformer.conversion.coding import Coding
from spikeformer.conversion.converter import SpikeformerConverter
from spikeformer.conversion.model import SpikingModel
from spikeformer.conversion.report import ConversionReport, ModuleReport

__all__ = [
    "Coding",
    "ConversionReport",
    "ModuleReport",
    "SpikeformerConverter",
    "SpikingModel",
]
