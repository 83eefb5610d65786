"""Folders that look like the `proc` and `sys` of a machine, and platforms made up for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spikeformer.cross_platform import (
    GIB,
    Architecture,
    Gpu,
    OperatingSystem,
    PlatformCapability,
    PlatformInfo,
)


def grow(root: Path, files: dict[str, str]) -> Path:
    """Write files below `root`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def v2(group: str = "/", folder: str = "", **files: str) -> dict[str, str]:
    """A unified hierarchy in which this process lies in `group`; files lie in `folder`."""
    tree = {f"sys/fs/cgroup/{folder}{name.replace('_', '.', 1)}": x for name, x in files.items()}
    return {"proc/self/cgroup": f"0::{group}\n", **tree}


def v1(group: str, **files: str) -> dict[str, str]:
    """Hierarchies of version 1 in which this process lies in `group`."""
    tree = {"proc/self/cgroup": f"4:memory:{group}\n3:cpu,cpuacct:{group}\n1:name=systemd:/\n"}
    names = {
        "quota": "cpu{}/cpu.cfs_quota_us",
        "period": "cpu{}/cpu.cfs_period_us",
        "memory": "memory{}/memory.limit_in_bytes",
        "usage": "memory{}/memory.usage_in_bytes",
        "stat": "memory{}/memory.stat",
    }
    for name, text in files.items():
        tree[f"sys/fs/cgroup/{names[name].format(group)}"] = text
    return tree


H100 = Gpu("NVIDIA H100", "cuda", 80 * GIB, 70 * GIB, (9, 0), bf16=True)
V100 = Gpu("Tesla V100", "cuda", 16 * GIB, 15 * GIB, (7, 0))


def platform(*gpus: Gpu, capabilities: Any = (), **changes: Any) -> PlatformInfo:
    """Return a Linux machine with 8 cores, 16 GiB and these GPUs."""
    facts: dict[str, Any] = {
        "os": OperatingSystem.LINUX,
        "os_version": "6.1",
        "architecture": Architecture.X86_64,
        "python": "3.11.7",
        "cpu": "a processor",
        "cores": 8,
        "machine_cores": 64,
        "memory_bytes": 16 * GIB,
        "available_bytes": 12 * GIB,
        "gpus": gpus,
        "packages": {"torch": "2.13", "numba": "0.65", "triton": "3.7"},
        "capabilities": frozenset(map(PlatformCapability, capabilities)),
    }
    return PlatformInfo(**{**facts, **changes})
