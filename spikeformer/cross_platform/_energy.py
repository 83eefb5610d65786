"""Which energy counters this user may read."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path


def rapl_packages(root: Path) -> list[Path]:
    """Return the counter files of all CPU packages, readable or not."""
    return sorted(root.glob("sys/class/powercap/intel-rapl:?/energy_uj"))


def readable_counters(root: Path) -> tuple[str, ...]:
    """Return "rapl" where a CPU package's counter can be read, "nvml" where a GPU answers."""
    found = []
    if any(os.access(path, os.R_OK) for path in rapl_packages(root)):
        found.append("rapl")
    if _nvml_answers():
        found.append("nvml")
    return tuple(found)


def _nvml_answers() -> bool:
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
