from __future__ import annotations

import json
import os
import platform as python_platform
import sys

import pytest
import torch
from packaging.version import Version

from spikeformer.cross_platform import (
    FOLDER_VARIABLE,
    GIB,
    Architecture,
    PlatformCapability,
    PlatformDetector,
    accelerators,
    machine,
)
from tests.cross_platform.trees import H100, V100, grow

CPUINFO = "processor : 0\nmodel name\t: A Fine CPU @ 3 GHz\nflags\t\t: fpu avx2 avx512f\n"


def test_this_machine():
    info = PlatformDetector().detect_platform()
    assert info.os.value == {"Linux": "linux", "Darwin": "macos"}[python_platform.system()]
    assert info.architecture is not Architecture.OTHER
    assert 1 <= info.cores <= info.machine_cores == os.cpu_count()
    assert Version(info.packages["torch"]).public == Version(torch.__version__).public
    assert 0 < info.available_bytes <= info.memory_bytes
    assert (PlatformCapability.CUDA_GPU in info.capabilities) == torch.cuda.is_available()
    assert json.loads(json.dumps(info.to_dict()))["os"] == info.os.value


def test_a_tree(tmp_path, monkeypatch):
    grow(tmp_path, {"proc/cpuinfo": CPUINFO, "sys/fs/cgroup/memory.max": f"{GIB}"})
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 100000"}
    grow(tmp_path, {**files, "sys/class/powercap/intel-rapl:0/energy_uj": "5"})
    toolchains = tmp_path / "toolchains"
    grow(toolchains, {"loihi2/.installed": "", "loihi2/bin/python": "", "spinnaker/bin/python": ""})
    monkeypatch.setenv(FOLDER_VARIABLE, str(toolchains))
    monkeypatch.setattr(machine, "_nvml_responds", lambda: False)
    info = PlatformDetector(tmp_path).detect_platform()
    assert (info.cpu, info.cores, info.memory_bytes) == ("A Fine CPU @ 3 GHz", 1, GIB)
    assert 0 < info.available_bytes <= GIB
    assert info.container_limits == ("1 core", "1 GiB")
    assert info.toolchains == {"loihi2": str(toolchains / "loihi2/bin/python")}
    assert info.energy_counters == ("rapl",)
    has = {capability.value for capability in info.capabilities}
    assert {"avx2", "avx512", "rapl_energy"} <= has


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        ((), set()),
        ((V100,), {"cuda_gpu", "triton_kernels"}),
        ((H100, H100), {"cuda_gpu", "triton_kernels", "multi_gpu", "bf16_gpu"}),
    ],
)
def test_what_follows_from_gpus(monkeypatch, gpus, expected):
    monkeypatch.setattr(accelerators, "find_gpus", lambda: gpus)
    monkeypatch.setattr(accelerators, "package_versions", lambda: {"triton": "3.7"})
    info = PlatformDetector().detect_platform()
    gpu_related = {"cuda_gpu", "multi_gpu", "bf16_gpu", "triton_kernels"}
    assert {c.value for c in info.capabilities} & gpu_related == expected


def test_importing_it_does_not_import_torch():
    import subprocess

    code = "import sys, spikeformer.cross_platform; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
