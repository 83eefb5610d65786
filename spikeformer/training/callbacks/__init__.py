"""Lightning callbacks that watch and shape spiking."""

from spikeformer.training.callbacks.checkpoint import BestAndLast
from spikeformer.training.callbacks.consent import ConsentWatch
from spikeformer.training.callbacks.energy import EnergyEarlyStopping, EnergyMonitor
from spikeformer.training.callbacks.firing import FiringRateMonitor
from spikeformer.training.callbacks.gradients import GradientMonitor
from spikeformer.training.callbacks.hybrid import HybridPhases
from spikeformer.training.callbacks.interruption import StopOnSignal
from spikeformer.training.callbacks.progress import SpikingProgressBar
from spikeformer.training.callbacks.regularization import SpikeRegularization
from spikeformer.training.callbacks.seed import EpochSeed
from spikeformer.training.callbacks.speed import SpeedMonitor
from spikeformer.training.callbacks.spike_monitor import SpikeMonitor
from spikeformer.training.callbacks.unimodal import UnimodalLoss

__all__ = [
    "BestAndLast",
    "ConsentWatch",
    "EnergyEarlyStopping",
    "EnergyMonitor",
    "EpochSeed",
    "FiringRateMonitor",
    "GradientMonitor",
    "HybridPhases",
    "SpeedMonitor",
    "SpikeMonitor",
    "SpikeRegularization",
    "SpikingProgressBar",
    "StopOnSignal",
    "UnimodalLoss",
]
