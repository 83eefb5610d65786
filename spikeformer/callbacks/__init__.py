"""Lightning callbacks that watch and shape spiking."""

from spikeformer.callbacks.checkpoint import BestAndLast
from spikeformer.callbacks.energy import EnergyEarlyStopping, EnergyMonitor
from spikeformer.callbacks.firing import FiringRateMonitor
from spikeformer.callbacks.hybrid import HybridPhases
from spikeformer.callbacks.interruption import StopOnSignal
from spikeformer.callbacks.probe import ActivityProbe, LayerActivity
from spikeformer.callbacks.progress import SpikingProgressBar
from spikeformer.callbacks.regularization import SpikeRegularization
from spikeformer.callbacks.seed import EpochSeed
from spikeformer.callbacks.spike_monitor import SpikeMonitor

__all__ = [
    "ActivityProbe",
    "BestAndLast",
    "EnergyEarlyStopping",
    "EnergyMonitor",
    "EpochSeed",
    "FiringRateMonitor",
    "HybridPhases",
    "LayerActivity",
    "SpikeMonitor",
    "SpikeRegularization",
    "SpikingProgressBar",
    "StopOnSignal",
]
