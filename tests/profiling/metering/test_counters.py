from __future__ import annotations

import sys
import types

import pytest

from spikeformer.error_handling import BackendUnavailableError, MissingDependencyError
from spikeformer.profiling.metering import CpuTimeCounter, NvmlCounter, RaplCounter


def test_rapl_adds_packages_and_memory_but_not_their_parts(rapl):
    with RaplCounter() as counter:
        rapl.set("package-0", 3_000_000)
        rapl.set("core", 9_000_000)
        rapl.set("dram-0", 1_500_000)
        assert counter.read() == 2.5
        assert counter.source == "RAPL counters of this machine (package-0, dram of intel-rapl:0)"
        assert counter.kind == "measured"


def test_rapl_goes_on_when_a_counter_wraps_around(rapl):
    rapl.set("package-0", rapl.RANGE_UJ - 1_000_000)
    with RaplCounter() as counter:
        for step in range(1, 4):  # three times round
            rapl.set("package-0", 500_000)
            assert counter.read() == pytest.approx(step * 1.5 + (step - 1) * rapl.RANGE_UJ / 1e6
                                                   - (step - 1) * 1.5)  # fmt: skip
            rapl.set("package-0", rapl.RANGE_UJ - 1_000_000)
            counter.read()


def test_no_counter_says_so_and_names_the_model(no_rapl):
    with pytest.raises(BackendUnavailableError, match=r"no energy counter.*backend='simulation'"):
        RaplCounter()


def test_a_counter_that_may_not_be_read_names_file_and_remedy(rapl, monkeypatch):
    import os

    opened = os.open

    def refuse(path, *args, **kwargs):
        if str(path).endswith("energy_uj"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(BackendUnavailableError, match=r"sudo chmod a\+r .*energy_uj"):
        RaplCounter()


def test_a_counter_that_shows_nonsense_is_an_error_of_its_own(rapl):
    with RaplCounter() as counter:
        rapl.counters["package-0"].write_text("\n")
        with pytest.raises(BackendUnavailableError, match="cannot be read any more"):
            counter.read()


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


def test_cpu_time_is_a_proxy():
    counter = CpuTimeCounter(watts_per_core=20.0)
    sum(range(3_000_000))
    energy = counter.read()
    assert 0 < energy < 20 * 60
    assert counter.kind == "proxy"
    assert "20 W for a busy core (assumed)" in counter.source


@pytest.mark.parametrize(
    ("package", "counter"),
    [("pyJoules.device", RaplCounter), ("pynvml", NvmlCounter)],
)
def test_a_missing_package_is_named(package, counter, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=r"spikeformer\[energy\]"):
        counter()
