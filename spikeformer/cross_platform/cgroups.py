"""What a container leaves to its processes: control groups of both versions of Linux."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# Version 1 writes "no limit" as the largest multiple of a page that 63 bits hold.
_UNLIMITED = 1 << 60


@dataclass(frozen=True)
class CgroupLimits:
    """Limits of this process's control group and of all that it lies in.

    Attributes:
        cores: Cores' worth of CPU time; None without a quota.
        memory_bytes: Memory; None without a limit.
        used_bytes: Memory that the limiting group holds and cannot drop; None without a limit.
    """

    cores: float | None = None
    memory_bytes: int | None = None
    used_bytes: int | None = None


def read_limits(root: Path) -> CgroupLimits:
    """Return the tightest limits on the way from this process's group up to the mount.

    Args:
        root: Folder that holds `proc` and `sys`; "/" unless for a test.

    Source: Linux kernel documentation, admin-guide/cgroup-v2 (`cpu.max`, `memory.max`) and
    cgroup-v1 (`cpu.cfs_quota_us`, `memory.limit_in_bytes`).
    """
    paths = _own_groups(root)
    mount = root / "sys/fs/cgroup"
    cores: list[float] = []
    memory: list[tuple[int, int | None]] = []
    for folder in _upwards(mount, paths.get("")):
        cores += _quota_v2(folder)
        memory += _memory(folder, "memory.max", "memory.current", "inactive_file")
    for folder in _upwards(mount / "cpu", paths.get("cpu")):
        cores += _quota_v1(folder)
    for folder in _upwards(mount / "memory", paths.get("memory")):
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        memory += _memory(folder, *names)
    limit, used = min(memory, default=(None, None), key=lambda pair: pair[0])
    return CgroupLimits(min(cores, default=None), limit, used)


def _own_groups(root: Path) -> dict[str, str]:
    """Return this process's group by controller; the unified hierarchy has the name ""."""
    groups: dict[str, str] = {}
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        groups.update(dict.fromkeys(controllers.split(","), path))
    return groups


def _upwards(mount: Path, group: str | None) -> Iterator[Path]:
    """Yield a group's folder and those above it, up to the mount itself.

    Inside a container the group often has the host's name, which is not there: then the mount is
    the container's own group.
    """
    if group is None or not mount.is_dir():
        return
    parts = PurePosixPath(group.lstrip("/")).parts
    for depth in range(len(parts), 0, -1):
        folder = mount.joinpath(*parts[:depth])
        if folder.is_dir():
            yield folder
    yield mount


def _quota_v2(folder: Path) -> list[float]:
    words = _text(folder / "cpu.max").split()
    if len(words) != 2 or words[0] == "max":
        return []
    return [int(words[0]) / int(words[1])]


def _quota_v1(folder: Path) -> list[float]:
    quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return [quota / period] if quota and period and quota > 0 else []


def _memory(folder: Path, limit: str, usage: str, cache: str) -> list[tuple[int, int | None]]:
    most, used = _number(folder / limit), _number(folder / usage)
    if most is None or most >= _UNLIMITED:
        return []
    if used is not None:
        # The kernel drops cached files before it kills anybody.
        used -= _statistics(folder / "memory.stat").get(cache, 0)
    return [(most, used)]


def _statistics(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _lines(path))
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _number(path: Path) -> int | None:
    try:
        return int(_text(path))
    except ValueError:  # absent, or "max"
        return None


def _lines(path: Path) -> list[str]:
    return _text(path).splitlines()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
