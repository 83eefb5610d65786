"""Recordings of event cameras and silicon cochleas: files, simulations, frames, data modules."""

from spikeformer.data.events.augmentation import EventAugmentation
from spikeformer.data.events.camera import record_saccades
from spikeformer.data.events.cochlea import cochlea_spikes
from spikeformer.data.events.datamodule import EventDataModule
from spikeformer.data.events.digits import DigitsDvsDataModule
from spikeformer.data.events.files import READERS, read_events
from spikeformer.data.events.recording_augmentation import cut_mix_in_time, drop_events
from spikeformer.data.events.recordings import Recordings
from spikeformer.data.events.representation import Representation
from spikeformer.data.events.sets import (
    DvsGestureDataModule,
    EventFolderDataModule,
    HeidelbergDataModule,
)
from spikeformer.data.events.spoken import SpokenSpikesDataModule

__all__ = [
    "READERS",
    "DigitsDvsDataModule",
    "DvsGestureDataModule",
    "EventAugmentation",
    "EventDataModule",
    "EventFolderDataModule",
    "HeidelbergDataModule",
    "Recordings",
    "Representation",
    "SpokenSpikesDataModule",
    "cochlea_spikes",
    "cut_mix_in_time",
    "drop_events",
    "read_events",
    "record_saccades",
]
