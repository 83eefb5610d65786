"""The platform in one object, and in three functions."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from spikeformer.cross_platform.choices import Choice, choose
from spikeformer.cross_platform.detector import PlatformDetector
from spikeformer.cross_platform.requirements import unmet
from spikeformer.cross_platform.types import PlatformInfo

_logger = logging.getLogger(__name__)


class CrossPlatformManager:
    """Knows the platform, fits configurations to it and checks whether it suffices.

    Args:
        info: The platform; None looks at this machine.

    Example:
        >>> manager = CrossPlatformManager()
        >>> manager.get_optimal_config({"device": "auto", "threshold": 1.0})["threshold"]
        1.0
        >>> manager.check_hardware_compatibility({"min_cores": 1})
        (True, [])
    """

    def __init__(self, info: PlatformInfo | None = None) -> None:
        self._info = info

    def get_platform_info(self) -> PlatformInfo:
        """Return what this process has to work with; looked up once."""
        if self._info is None:
            self._info = PlatformDetector().detect_platform()
        return self._info

    def explain_config(self, base_config: dict[str, Any]) -> list[Choice]:
        """Return what `get_optimal_config` would change, each with its reason."""
        return choose(base_config, self.get_platform_info())

    def get_optimal_config(self, base_config: dict[str, Any]) -> dict[str, Any]:
        """Return a copy in which the platform has chosen what was left to it.

        Only keys that say "auto" or None are chosen, and numbers of workers above the cores
        lowered; see `choose`. Each change is logged with its reason.
        """
        choices = self.explain_config(base_config)
        for choice in choices:
            _logger.info("%s", choice)
        return {**base_config, **{choice.key: choice.value for choice in choices}}

    def check_hardware_compatibility(self, requirements: dict[str, Any]) -> tuple[bool, list[str]]:
        """Return whether all requirements are met, and what is wrong; for the keys see `unmet`."""
        issues = unmet(requirements, self.get_platform_info())
        return not issues, issues


@cache
def _manager() -> CrossPlatformManager:
    return CrossPlatformManager()


def get_platform_info() -> PlatformInfo:
    """Return what this process has to work with.

    Example:
        >>> info = get_platform_info()
        >>> info.os.value in ("linux", "macos", "windows", "other")
        True
    """
    return _manager().get_platform_info()


def optimize_config_for_platform(base_config: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a flat configuration in which the platform has chosen what was left to it.

    Known keys are `device`, `accelerator`, `precision`, `num_workers`, `max_workers`,
    `batch_size`, `pin_memory`, `backend` and `ops`; a key that says "auto" or None is chosen, and
    a number of workers above the cores lowered. Everything else stays. Each change is logged with
    its reason; `CrossPlatformManager.explain_config` returns them.

    Example:
        >>> optimize_config_for_platform({"precision": "64-true", "mine": "auto"})
        {'precision': '64-true', 'mine': 'auto'}
    """
    return _manager().get_optimal_config(base_config)


def check_platform_compatibility(requirements: dict[str, Any]) -> tuple[bool, list[str]]:
    """Return whether this platform meets all requirements, and what is wrong.

    Args:
        requirements: For example `{"os": "linux", "min_memory_gib": 8, "packages": ["triton"]}`;
            all keys are listed under `spikeformer.cross_platform.unmet`.

    Raises:
        ArgumentError: A key is unknown, or a value cannot be read.

    Example:
        >>> check_platform_compatibility({"python": ">=3.11", "min_cores": 1})
        (True, [])
    """
    return _manager().check_hardware_compatibility(requirements)
