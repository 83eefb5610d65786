"""Recordings of event cameras and silicon cochleas: files, simulations, frames, data modules."""

from spikeformer.data.events.augmentation import EventAugmentation
from spikeformer.data.events.camera import record_saccades
from spikeformer.data.events.datamodule import EventDataModule
from spikeformer.data.events.digits import DigitsDvsDataModule
from spikeformer.data.events.recordings import Recordings
from spikeformer.data.events.representation import Representation

__all__ = [
    "DigitsDvsDataModule",
    "EventAugmentation",
    "EventDataModule",
    "Recordings",
    "Representation",
    "record_saccades",
]
