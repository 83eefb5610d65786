"""All checks; importing this package registers them."""

from spikeformer.validation.checks import (  # noqa: I001  this is the order in which they run
    parameters,
    structure,
    dynamics,
    gradients,
    modes,
    inputs,
    targets,
    splits,
    hardware,
)
from spikeformer.validation.registry import CHECKS, register_check

__all__ = [
    "CHECKS",
    "dynamics",
    "gradients",
    "hardware",
    "inputs",
    "modes",
    "parameters",
    "register_check",
    "splits",
    "structure",
    "targets",
]
