"""Processor, memory and energy counters, as the operating system reports them."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from spikeformer.cross_platform.cgroups import CgroupLimits
from spikeformer.cross_platform.types import GIB, Architecture, OperatingSystem
from spikeformer.i18n import format_number, t

_SYSTEMS = {
    "Linux": OperatingSystem.LINUX,
    "Darwin": OperatingSystem.MACOS,
    "Windows": OperatingSystem.WINDOWS,
}
_ARCHITECTURES = {
    "x86_64": Architecture.X86_64,
    "amd64": Architecture.X86_64,
    "arm64": Architecture.ARM64,
    "aarch64": Architecture.ARM64,
    "ppc64le": Architecture.PPC64LE,
    "riscv64": Architecture.RISCV64,
}


@dataclass(frozen=True)
class Memory:
    """Memory in bytes."""

    total: int
    available: int


def operating_system() -> OperatingSystem:
    """Return the kind of operating system."""
    return _SYSTEMS.get(platform.system(), OperatingSystem.OTHER)


def architecture() -> Architecture:
    """Return the instruction set."""
    return _ARCHITECTURES.get(platform.machine().lower(), Architecture.OTHER)


def cpu_name(root: Path) -> str:
    """Return the processor's name."""
    return _cpu_fields(root).get("model name") or platform.processor() or platform.machine()


def cpu_flags(root: Path) -> frozenset[str]:
    """Return the instruction sets that Linux lists."""
    return frozenset(_cpu_fields(root).get("flags", "").split())


def usable_cores(limits: CgroupLimits, visible: int | None = None) -> int:
    """Return how many cores this process keeps busy without being throttled; at least 1.

    Args:
        limits: The container's.
        visible: Cores that the scheduler may use; None asks the operating system.
    """
    if visible is None:
        visible = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
        visible = visible or os.cpu_count() or 1
    return max(1, min(visible, int(limits.cores) if limits.cores is not None else visible))


def usable_memory(limits: CgroupLimits, machine: Memory | None = None) -> Memory:
    """Return the machine's memory, or as much of it as the container grants.

    Args:
        limits: The container's.
        machine: Memory of the whole machine; None asks the operating system.
    """
    if machine is None:
        found = psutil.virtual_memory()
        machine = Memory(found.total, found.available)
    if limits.memory_bytes is None:
        return machine
    left = limits.memory_bytes - (limits.used_bytes or 0)
    total, available = min(limits.memory_bytes, machine.total), min(left, machine.available)
    return Memory(total, max(0, available))


def in_words(limits: CgroupLimits) -> tuple[str, ...]:
    """Return the container's limits for people."""
    words = []
    if limits.cores is not None:
        words.append(t("cross_platform.cores", count=limits.cores))
    if limits.memory_bytes is not None:
        words.append(f"{format_number(limits.memory_bytes / GIB, '.3g')} GiB")
    return tuple(words)


def rapl_packages(root: Path) -> list[Path]:
    """Return the counter files of all CPU packages, readable or not."""
    return sorted(root.glob("sys/class/powercap/intel-rapl:?/energy_uj"))


def readable_counters(root: Path) -> tuple[str, ...]:
    """Return "rapl" where a CPU package's counter can be read, "nvml" where a GPU responds."""
    found = []
    if any(os.access(path, os.R_OK) for path in rapl_packages(root)):
        found.append("rapl")
    if _nvml_responds():
        found.append("nvml")
    return tuple(found)


def _nvml_responds() -> bool:
    if find_spec("pynvml") is None:
        return False
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return False
    try:
        return bool(pynvml.nvmlDeviceGetCount() > 0)
    finally:
        pynvml.nvmlShutdown()


def _cpu_fields(root: Path) -> dict[str, str]:
    """Return the "key: value" lines of Linux' cpuinfo; of several processors the first counts."""
    fields: dict[str, str] = {}
    try:
        lines = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return fields
    for line in lines:
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    return fields
