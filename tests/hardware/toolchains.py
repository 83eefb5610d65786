"""Help for tests that run a vendor's toolchain, or any worker."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware.targets.toolchain import find_toolchain


def needs_toolchain(name: str) -> pytest.MarkDecorator:
    """Skip a test, and say why, where a toolchain is not installed."""
    try:
        find_toolchain(name)
    except HardwareCompatibilityError as error:
        return pytest.mark.skipif(True, reason=str(error))
    return pytest.mark.skipif(False, reason="")


def wait_until_gone(pid: int) -> bool:
    """Return whether a process ends within ten seconds."""
    for _ in range(200):
        if not Path(f"/proc/{pid}").exists() or "Z" in _state(pid):
            return True
        time.sleep(0.05)
    return False


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"
