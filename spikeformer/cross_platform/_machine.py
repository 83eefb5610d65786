"""Processor and memory, as the operating system tells them."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from spikeformer.cross_platform._cgroups import CgroupLimits
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
    """Memory in bytes, each None if unknown."""

    total: int | None
    available: int | None


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


def usable_memory(root: Path, limits: CgroupLimits) -> Memory:
    """Return the machine's memory, or as much of it as the container grants."""
    machine = _machine_memory(root)
    if limits.memory_bytes is None:
        return machine
    total = min(limits.memory_bytes, machine.total or limits.memory_bytes)
    left = None if limits.used_bytes is None else max(0, limits.memory_bytes - limits.used_bytes)
    known = [amount for amount in (left, machine.available) if amount is not None]
    return Memory(total, min(known, default=None))


def in_words(limits: CgroupLimits) -> tuple[str, ...]:
    """Return the container's limits for people."""
    words = []
    if limits.cores is not None:
        words.append(t("cross_platform.cores", count=limits.cores))
    if limits.memory_bytes is not None:
        words.append(f"{format_number(limits.memory_bytes / GIB, '.3g')} GiB")
    return tuple(words)


def _machine_memory(root: Path) -> Memory:
    fields = _fields(root / "proc/meminfo")
    if "MemTotal" in fields:
        sizes = {key: int(value.split()[0]) * 1024 for key, value in fields.items() if value}
        return Memory(sizes["MemTotal"], sizes.get("MemAvailable"))
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return Memory(None, None)
    return Memory(pages * size, None)


def _cpu_fields(root: Path) -> dict[str, str]:
    return _fields(root / "proc/cpuinfo")


def _fields(path: Path) -> dict[str, str]:
    """Return the "key: value" lines of a file; of several processors the first counts."""
    fields: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return fields
    for line in lines:
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    return fields
