"""Import an optional package, or say how to install it."""

from __future__ import annotations

import importlib
from types import ModuleType

from spikeformer.error_handling import MissingDependencyError


def optional_import(module: str, purpose: str, *, package: str | None = None) -> ModuleType:
    """Return the imported `module`.

    Args:
        module: Dotted name, as in `kornia.augmentation`.
        purpose: What needs it, as in "image augmentation".
        package: Name of the distribution, where it is not the first part of `module`.

    Raises:
        MissingDependencyError: It is not installed; the message holds the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        name = package or module.partition(".")[0]
        raise MissingDependencyError(
            f"Expected the package {name!r} to be installed for {purpose}, but it is not. "
            "Install it with: pip install 'spikeformer[data]'"
        ) from error
