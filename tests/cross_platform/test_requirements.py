from __future__ import annotations

import pytest

from spikeformer.cross_platform import (
    Architecture,
    CrossPlatformManager,
    OperatingSystem,
    PlatformCapability,
    unmet,
)
from spikeformer.error_handling import ArgumentError
from tests.cross_platform.trees import H100, platform

MET = [
    {},
    {"os": "linux", "architecture": [Architecture.X86_64, "arm64"]},
    {"os": [OperatingSystem.MACOS, OperatingSystem.LINUX]},
    {"python": ">=3.11,<3.14"},
    {"min_cores": 8, "min_memory_gib": 16, "min_disk_gib": 0},
    {"min_gpus": 1, "min_gpu_memory_gib": 80, "min_compute_capability": 9.0},
    {"capabilities": ["cuda_gpu", PlatformCapability.AVX2]},
    {"packages": ["torch>=2", "numpy"]},
    {"toolchains": "loihi2"},
]
UNMET = [
    ({"os": "windows"}, "Needs os windows, but this is linux"),
    ({"architecture": "arm64"}, "Needs architecture arm64"),
    ({"python": "<3"}, "Needs Python <3, but this is 3.11.7"),
    ({"min_cores": 9}, "Needs 9 cores, but there are 8"),
    ({"min_memory_gib": 17}, "Needs 17 GiB of memory, but there are 16"),
    ({"min_disk_gib": 1e9}, "GiB of free disk"),
    ({"min_gpus": 2}, "Needs 2 GPUs, but there are 1"),
    ({"min_gpu_memory_gib": 81}, "Needs 81 GiB of memory on a GPU"),
    ({"min_compute_capability": 10.0}, "Needs 10 as compute capability, but there are 9"),
    ({"capabilities": "rocm_gpu"}, "Needs rocm_gpu"),
    ({"packages": "no-such-package-anywhere"}, "which is not installed"),
    ({"packages": "torch>=99"}, "Needs the package torch>=99, but 2"),
    ({"toolchains": ["loihi2", "spinnaker"]}, "Needs the toolchain spinnaker"),
]


@pytest.fixture
def info():
    return platform(H100, capabilities=["cuda_gpu", "avx2"], toolchains={"loihi2": "/python"})


@pytest.mark.parametrize("requirements", MET, ids=str)
def test_met(info, requirements):
    assert CrossPlatformManager(info).check_hardware_compatibility(requirements) == (True, [])


@pytest.mark.parametrize(("requirements", "issue"), UNMET, ids=lambda x: str(x)[:40])
def test_unmet(info, requirements, issue):
    met, issues = CrossPlatformManager(info).check_hardware_compatibility(requirements)
    assert not met
    assert len(issues) == 1
    assert issue in issues[0]


def test_everything_that_is_wrong_is_said(info):
    assert len(unmet({"os": "windows", "min_cores": 99, "min_gpus": 9}, info)) == 3


@pytest.mark.parametrize(
    "requirements",
    [
        {"cores": 3},
        {"min_cores": "many"},
        {"python": "new"},
        {"capabilities": "magic"},
        {"packages": ">=3"},
    ],
)
def test_what_cannot_be_read_is_refused(info, requirements):
    with pytest.raises(ArgumentError):
        unmet(requirements, info)
