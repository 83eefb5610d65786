"""Looks at the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path

from spikeformer.cross_platform import accelerators, machine
from spikeformer.cross_platform.cgroups import read_limits
from spikeformer.cross_platform.toolchains import installed_toolchains
from spikeformer.cross_platform.types import Gpu, PlatformCapability, PlatformInfo

_GPU_KINDS = {
    "cuda": PlatformCapability.CUDA_GPU,
    "rocm": PlatformCapability.ROCM_GPU,
    "mps": PlatformCapability.MPS_GPU,
}


class PlatformDetector:
    """Finds out what this process has to work with.

    Args:
        root: Folder that holds `proc` and `sys`.

    Example:
        >>> info = PlatformDetector().detect_platform()
        >>> info.cores >= 1
        True
    """

    def __init__(self, root: str | Path = "/") -> None:
        self.root = Path(root)

    def detect_platform(self) -> PlatformInfo:
        """Look at everything anew."""
        limits = read_limits(self.root)
        memory = machine.usable_memory(limits)
        gpus, packages = accelerators.find_gpus(), accelerators.package_versions()
        toolchains = {name: str(python) for name, python in installed_toolchains().items()}
        counters = machine.readable_counters(self.root)
        return PlatformInfo(
            os=machine.operating_system(),
            os_version=platform.release(),
            architecture=machine.architecture(),
            python=platform.python_version(),
            cpu=machine.cpu_name(self.root),
            cores=machine.usable_cores(limits),
            machine_cores=os.cpu_count() or 1,
            memory_bytes=memory.total,
            available_bytes=memory.available,
            container_limits=machine.in_words(limits),
            gpus=gpus,
            packages=packages,
            toolchains=toolchains,
            energy_counters=counters,
            capabilities=frozenset(
                {
                    *_of_gpus(gpus),
                    *_of_packages(packages, gpus),
                    *_of_processor(machine.cpu_flags(self.root)),
                    *(PlatformCapability(f"{name}_energy") for name in counters),
                }
            ),
        )


def _of_gpus(gpus: tuple[Gpu, ...]) -> Iterable[PlatformCapability]:
    yield from {_GPU_KINDS[gpu.kind] for gpu in gpus}
    if len(gpus) > 1:
        yield PlatformCapability.MULTI_GPU
    if any(gpu.bf16 for gpu in gpus):
        yield PlatformCapability.BF16_GPU


def _of_packages(packages: dict[str, str], gpus: tuple[Gpu, ...]) -> Iterable[PlatformCapability]:
    if "numba" in packages:
        yield PlatformCapability.CPU_KERNELS
    if "triton" in packages and any(gpu.kind in ("cuda", "rocm") for gpu in gpus):
        yield PlatformCapability.TRITON_KERNELS
    if accelerators.has_cpp_compiler():
        yield PlatformCapability.CPP_COMPILER


def _of_processor(flags: frozenset[str]) -> Iterable[PlatformCapability]:
    if "avx2" in flags:
        yield PlatformCapability.AVX2
    if "avx512f" in flags:
        yield PlatformCapability.AVX512
