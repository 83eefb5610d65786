"""Counters of the machine: what measured energy is read from."""

from spikeformer.profiling.counters._counter import EnergyCounter
from spikeformer.profiling.counters.cpu_time import CpuTimeCounter
from spikeformer.profiling.counters.nvml import NvmlCounter
from spikeformer.profiling.counters.rapl import RaplCounter

COUNTERS: dict[str, type[EnergyCounter]] = {
    "pyjoules": RaplCounter,
    "nvml": NvmlCounter,
    "cpu_time": CpuTimeCounter,
}
"""The counters by backend."""

__all__ = ["COUNTERS", "CpuTimeCounter", "EnergyCounter", "NvmlCounter", "RaplCounter"]
