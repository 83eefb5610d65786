"""What is wrong with a network, its data, or a chip as its target, before it costs hours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikeformer import lazily

if TYPE_CHECKING:
    # Not from the registry: the package's own checks run before those that others register.
    from spikeformer.validation.checks import CHECKS, register_check
    from spikeformer.validation.data import InputSubject, SplitsSubject, TargetSubject
    from spikeformer.validation.probe import ModelSubject, ModesSubject, running_norms
    from spikeformer.validation.result import (
        RUN_LEVELS,
        SEVERITIES,
        ValidationError,
        ValidationLevel,
        ValidationResult,
        stop_on_errors,
    )
    from spikeformer.validation.targets import HardwareSubject, deployer_for, hardware_names
    from spikeformer.validation.validator import SAMPLES, ComprehensiveValidator
else:
    __getattr__, __dir__ = lazily(__name__)

__all__ = [
    "CHECKS",
    "RUN_LEVELS",
    "SAMPLES",
    "SEVERITIES",
    "ComprehensiveValidator",
    "HardwareSubject",
    "InputSubject",
    "ModelSubject",
    "ModesSubject",
    "SplitsSubject",
    "TargetSubject",
    "ValidationError",
    "ValidationLevel",
    "ValidationResult",
    "deployer_for",
    "hardware_names",
    "register_check",
    "running_norms",
    "stop_on_errors",
]
