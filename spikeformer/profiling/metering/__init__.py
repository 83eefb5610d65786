"""Counters of the machine: what measured energy is read from."""

from spikeformer.profiling.metering.counter import CpuTimeCounter, EnergyCounter
from spikeformer.profiling.metering.nvml import NvmlCounter
from spikeformer.profiling.metering.rapl import RaplCounter

COUNTERS: dict[str, type[EnergyCounter]] = {
    "pyjoules": RaplCounter,
    "nvml": NvmlCounter,
    "cpu_time": CpuTimeCounter,
}
"""The counters by backend."""

__all__ = ["COUNTERS", "CpuTimeCounter", "EnergyCounter", "NvmlCounter", "RaplCounter"]
