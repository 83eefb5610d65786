"""What is known about a platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

GIB = 2**30


class OperatingSystem(Enum):
    """Kind of operating system."""

    LINUX = "linux"
    MACOS = "macos"
    WINDOWS = "windows"
    OTHER = "other"


class Architecture(Enum):
    """Instruction set of the processor."""

    X86_64 = "x86_64"
    ARM64 = "arm64"
    PPC64LE = "ppc64le"
    RISCV64 = "riscv64"
    OTHER = "other"


class PlatformCapability(Enum):
    """Something that a platform can do and another cannot."""

    CUDA_GPU = "cuda_gpu"
    ROCM_GPU = "rocm_gpu"
    MPS_GPU = "mps_gpu"
    MULTI_GPU = "multi_gpu"
    BF16_GPU = "bf16_gpu"
    CPU_KERNELS = "cpu_kernels"
    TRITON_KERNELS = "triton_kernels"
    CPP_COMPILER = "cpp_compiler"
    AVX2 = "avx2"
    AVX512 = "avx512"
    RAPL_ENERGY = "rapl_energy"
    NVML_ENERGY = "nvml_energy"


@dataclass(frozen=True)
class Gpu:
    """One GPU that torch can use.

    Attributes:
        name: Its model.
        kind: "cuda", "rocm" or "mps".
        memory_bytes: Its memory.
        free_bytes: What of it is free; None if unknown.
        capability: Compute capability, (major, minor); None outside CUDA.
        bf16: Whether it computes in bfloat16 by itself.
    """

    name: str
    kind: str
    memory_bytes: int
    free_bytes: int | None = None
    capability: tuple[int, int] | None = None
    bf16: bool = False


@dataclass(frozen=True)
class PlatformInfo:
    """What this process has to work with.

    Attributes:
        os: Operating system.
        os_version: Its release.
        architecture: Instruction set.
        python: Version of Python.
        cpu: Name of the processor.
        cores: Cores that this process may use: its affinity within the container's quota.
        machine_cores: Cores of the whole machine.
        memory_bytes: Memory that this process may use, as the container limits it.
        available_bytes: What of it is not in use.
        container_limits: Limits that a container sets, in words; empty without one.
        gpus: GPUs that torch can use.
        packages: Versions of the packages that kernels need: torch, numba, triton.
        toolchains: Interpreter of each vendor's toolchain that is installed, by name.
        energy_counters: Energy counters that this user may read.
        capabilities: What follows from all that.
    """

    os: OperatingSystem
    os_version: str
    architecture: Architecture
    python: str
    cpu: str
    cores: int
    machine_cores: int
    memory_bytes: int
    available_bytes: int
    container_limits: tuple[str, ...] = ()
    gpus: tuple[Gpu, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    toolchains: Mapping[str, str] = field(default_factory=dict)
    energy_counters: tuple[str, ...] = ()
    capabilities: frozenset[PlatformCapability] = frozenset()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON holds."""
        return {
            **asdict(self),
            "os": self.os.value,
            "architecture": self.architecture.value,
            "container_limits": list(self.container_limits),
            "gpus": [asdict(gpu) for gpu in self.gpus],
            "energy_counters": list(self.energy_counters),
            "capabilities": sorted(capability.value for capability in self.capabilities),
        }
