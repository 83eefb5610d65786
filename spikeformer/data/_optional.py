"""Import an optional package, or say how to install it."""

from __future__ import annotations

import importlib
from types import ModuleType

from spikeformer.error_handling import MissingDependencyError
from spikeformer.i18n import t


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
        raise MissingDependencyError(t("data.needs_package", name=name, purpose=purpose)) from error
