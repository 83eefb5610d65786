from __future__ import annotations

import json
import os
import platform as python_platform
import sys

import pytest
import torch

from spikeformer.cross_platform import (
    FOLDER_VARIABLE,
    GIB,
    Architecture,
    PlatformCapability,
    PlatformDetector,
    _accelerators,
    _energy,
)
from tests.cross_platform.trees import H100, V100, grow

CPUINFO = "processor : 0\nmodel name\t: A Fine CPU @ 3 GHz\nflags\t\t: fpu avx2 avx512f\n"


def test_this_machine():
    info = PlatformDetector().detect_platform()
    assert info.os.value == {"Linux": "linux", "Darwin": "macos"}[python_platform.system()]
    assert info.architecture is not Architecture.OTHER
    assert 1 <= info.cores <= info.machine_cores == os.cpu_count()
    assert info.packages["torch"] == torch.__version__
    assert 0 < info.available_bytes <= info.memory_bytes
    assert (PlatformCapability.CUDA_GPU in info.capabilities) == torch.cuda.is_available()
    assert json.loads(json.dumps(info.to_dict()))["os"] == info.os.value


def test_a_tree(tmp_path, monkeypatch):
    grow(tmp_path, {"proc/cpuinfo": CPUINFO, "proc/meminfo": "MemTotal: 2097152 kB\n"})
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 100000"}
    grow(tmp_path, {**files, "sys/class/powercap/intel-rapl:0/energy_uj": "5"})
    toolchains = tmp_path / "toolchains"
    grow(toolchains, {"loihi2/.installed": "", "spinnaker/bin/python": ""})
    monkeypatch.setenv(FOLDER_VARIABLE, str(toolchains))
    monkeypatch.setattr(_energy, "_nvml_answers", lambda: False)
    info = PlatformDetector(tmp_path).detect_platform()
    assert (info.cpu, info.cores, info.memory_bytes) == ("A Fine CPU @ 3 GHz", 1, 2 * GIB)
    assert info.available_bytes is None
    assert info.container_limits == ("1 cores",) or info.container_limits == ("1 core",)
    assert info.toolchains == {"loihi2": str(toolchains / "loihi2/bin/python")}
    assert info.energy_counters == ("rapl",)
    has = {capability.value for capability in info.capabilities}
    assert {"avx2", "avx512", "rapl_energy", "loihi2_toolchain"} <= has
    assert "spinnaker_toolchain" not in has


def test_a_counter_of_root_alone_is_no_counter(tmp_path, monkeypatch):
    grow(tmp_path, {"sys/class/powercap/intel-rapl:0/energy_uj": "5"})
    monkeypatch.setattr(_energy.os, "access", lambda path, mode: False)
    monkeypatch.setattr(_energy, "_nvml_answers", lambda: False)
    assert _energy.readable_counters(tmp_path) == ()
    assert len(_energy.rapl_packages(tmp_path)) == 1


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        ((), set()),
        ((V100,), {"cuda_gpu", "triton_kernels"}),
        ((H100, H100), {"cuda_gpu", "triton_kernels", "multi_gpu", "bf16_gpu"}),
    ],
)
def test_what_follows_from_gpus(monkeypatch, gpus, expected):
    monkeypatch.setattr(_accelerators, "find_gpus", lambda: gpus)
    monkeypatch.setattr(_accelerators, "package_versions", lambda: {"triton": "3.7"})
    info = PlatformDetector().detect_platform()
    gpu_related = {"cuda_gpu", "multi_gpu", "bf16_gpu", "triton_kernels"}
    assert {c.value for c in info.capabilities} & gpu_related == expected


def test_cuda_gpus_are_described(monkeypatch):
    class Properties:
        name, total_memory, major, minor = "NVIDIA A100", 40 * GIB, 8, 0

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: Properties)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (index * GIB, 40 * GIB))
    first, second = _accelerators.find_gpus()
    assert (first.name, first.kind, first.capability) == ("NVIDIA A100", "cuda", (8, 0))
    assert (first.bf16, first.free_bytes, second.free_bytes) == (True, 0, GIB)


def test_without_torch_there_are_no_gpus(monkeypatch):
    monkeypatch.setattr(_accelerators, "find_spec", lambda name: None)
    assert _accelerators.find_gpus() == ()


def test_missing_packages_have_no_version(monkeypatch):
    def version(package):
        if package == "triton":
            raise _accelerators.PackageNotFoundError
        return "1"

    monkeypatch.setattr(_accelerators, "version", version)
    assert _accelerators.package_versions() == {"torch": "1", "numba": "1"}


def test_importing_it_does_not_import_torch():
    import subprocess

    code = "import sys, spikeformer.cross_platform; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
