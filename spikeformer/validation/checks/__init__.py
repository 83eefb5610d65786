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

__all__ = [
    "dynamics",
    "gradients",
    "hardware",
    "inputs",
    "modes",
    "parameters",
    "splits",
    "structure",
    "targets",
]
