from __future__ import annotations

import sys
import types

import pytest

from spikeformer.error_handling import BackendUnavailableError
from spikeformer.profiling.metering import NvmlCounter


class FakeNvml(types.ModuleType):
    """The part of pynvml in use, with GPUs that tests steer."""

    class NVMLError(Exception):
        pass

    class NVMLError_NotSupported(NVMLError):  # noqa: N801, N818 - their spelling
        pass

    def __init__(self, gpus=1, counts_energy=True):
        super().__init__("pynvml")
        self.gpus, self.counts_energy = gpus, counts_energy
        self.energy, self.gone, self.closed = 5_000, False, 0

    def nvmlInit(self):  # noqa: N802
        if self.gpus is None:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlShutdown(self):  # noqa: N802
        self.closed += 1

    def nvmlDeviceGetCount(self):  # noqa: N802
        return self.gpus

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return index

    def nvmlDeviceGetName(self, handle):  # noqa: N802
        return f"GPU {handle}"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):  # noqa: N802
        if not self.counts_energy:
            raise self.NVMLError_NotSupported("Not Supported")
        if self.gone:
            raise self.NVMLError("GPU is lost")
        return self.energy

    def nvmlDeviceGetPowerUsage(self, handle):  # noqa: N802
        return 100_000


@pytest.fixture
def nvml(monkeypatch):
    def install(**options):
        module = FakeNvml(**options)
        monkeypatch.setitem(sys.modules, "pynvml", module)
        return module

    return install


def test_gpus_count_energy(nvml):
    module = nvml(gpus=2)
    with NvmlCounter() as counter:
        module.energy += 2_500
        assert counter.read() == 5.0
        assert counter.source == "NVML counters of GPU 0, GPU 1"
    assert module.closed == 1


def test_power_of_older_gpus_is_summed_up(nvml, monkeypatch):
    clock = iter([0.0, 1.0, 3.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    nvml(counts_energy=False)
    counter = NvmlCounter()
    assert (counter.read(), counter.read()) == (100.0, 300.0)
    assert "power summed up" in counter.source


@pytest.mark.parametrize(("gpus", "reason"), [(None, "Driver Not Loaded"), (0, "lists none")])
def test_no_gpu_says_why(nvml, gpus, reason):
    nvml(gpus=gpus)
    with pytest.raises(BackendUnavailableError, match=reason):
        NvmlCounter()


def test_a_gpu_that_vanishes(nvml):
    module = nvml()
    counter = NvmlCounter()
    module.gone = True
    with pytest.raises(BackendUnavailableError, match="stopped answering: GPU is lost"):
        counter.read()
