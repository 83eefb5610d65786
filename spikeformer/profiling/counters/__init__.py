"""Counters of the machine: what measured energy is read from."""

from spikeformer.profiling.counters._counter import EnergyCounter
from spikeformer.profiling.counters.nvml import NvmlCounter
from spikeformer.profiling.counters.rapl import RaplCounter
from spikeformer.profiling.counters.utilization import UtilizationCounter

COUNTERS: dict[str, type[EnergyCounter]] = {
    "pyjoules": RaplCounter,
    "nvml": NvmlCounter,
    "psutil": UtilizationCounter,
}
"""The counters by backend."""

__all__ = ["COUNTERS", "EnergyCounter", "NvmlCounter", "RaplCounter", "UtilizationCounter"]
