"""Marks for tests that run a vendor's toolchain."""

from __future__ import annotations

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
