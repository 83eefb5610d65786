"""NVML: the energy counters of NVIDIA GPUs."""

from __future__ import annotations

import time
from typing import Any

from spikeformer.error_handling import BackendUnavailableError, MissingDependencyError
from spikeformer.i18n import t
from spikeformer.profiling.metering.counter import EnergyCounter


class NvmlCounter(EnergyCounter):
    """Energy of all visible GPUs, memory included.

    GPUs from Volta on count energy themselves; of older ones the power is summed up between
    readings.

    Raises:
        MissingDependencyError: nvidia-ml-py is not installed.
        BackendUnavailableError: There is no driver or no GPU, or it has gone.

    Source: NVML API reference, `nvmlDeviceGetTotalEnergyConsumption` and `nvmlDeviceGetPowerUsage`.
    """

    resolution_seconds = 0.1

    def __init__(self) -> None:
        try:
            import pynvml
        except ImportError as error:
            raise MissingDependencyError(t("profiling.needs_nvml")) from error
        self._nvml: Any = pynvml
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise _no_gpu(error) from error
        try:
            count = pynvml.nvmlDeviceGetCount()
            self._gpus = [_gpu(pynvml, index) for index in range(count)]
        except pynvml.NVMLError as error:
            self.close()
            raise _no_gpu(error) from error
        if not self._gpus:
            self.close()
            raise _no_gpu(t("profiling.lists_no_gpu"))
        self.source = "NVML counters of " + ", ".join(gpu.name for gpu in self._gpus)

    def read(self) -> float:
        """Return the energy in J since the counter was made, of all GPUs."""
        try:
            return sum(gpu.read() for gpu in self._gpus)
        except self._nvml.NVMLError as error:
            raise BackendUnavailableError(t("profiling.gpu_stopped", reason=error)) from error

    def close(self) -> None:
        """Let go of the driver."""
        self._nvml.nvmlShutdown()


def _no_gpu(reason: object) -> BackendUnavailableError:
    return BackendUnavailableError(t("profiling.no_gpu", reason=reason))


class _EnergyGpu:
    """A GPU that counts mJ."""

    def __init__(self, nvml: Any, handle: Any, name: str) -> None:
        self.nvml, self.handle, self.name = nvml, handle, name
        self.start = nvml.nvmlDeviceGetTotalEnergyConsumption(handle)

    def read(self) -> float:
        now: int = self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)
        return (now - self.start) / 1e3


class _PowerGpu:
    """A GPU that reports its power in mW alone."""

    def __init__(self, nvml: Any, handle: Any, name: str) -> None:
        self.nvml, self.handle, self.name = nvml, handle, f"{name} (power summed up)"
        self.energy, self.last = 0.0, time.perf_counter()

    def read(self) -> float:
        now = time.perf_counter()
        self.energy += self.nvml.nvmlDeviceGetPowerUsage(self.handle) / 1e3 * (now - self.last)
        self.last = now
        return self.energy


def _gpu(nvml: Any, index: int) -> _EnergyGpu | _PowerGpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    name = str(nvml.nvmlDeviceGetName(handle))
    try:
        return _EnergyGpu(nvml, handle, name)
    except nvml.NVMLError_NotSupported:
        return _PowerGpu(nvml, handle, name)
