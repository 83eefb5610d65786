"""The interpreters of the vendors' toolchains, or a message that says how to get them."""

from __future__ import annotations

import os
from pathlib import Path

from spikeformer.cross_platform import installed_toolchains, toolchain_folders
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.i18n import t


def find_toolchain(name: str, python: str | Path | None = None) -> Path:
    """Return the interpreter of a toolchain's environment.

    Args:
        name: Name of the environment.
        python: Interpreter of an environment of the user's own; None looks in the folder that
            `SPIKEFORMER_TOOLCHAINS` names, then in `.toolchains` of this repository and of the
            current folder.

    Raises:
        HardwareCompatibilityError: There is none; the message says how to install it.
    """
    if python is not None:
        # Not resolved: an environment's interpreter is a link, and the link is what counts.
        given = Path(python).expanduser().absolute()
        if given.is_file() and os.access(given, os.X_OK):
            return given
        raise HardwareCompatibilityError(t("hardware.no_toolchain_python", name=name, python=given))
    found = installed_toolchains().get(name)
    if found is None:
        looked = ", ".join(str(folder / name) for folder in toolchain_folders())
        raise HardwareCompatibilityError(t("hardware.no_toolchain", name=name, looked=looked))
    return found
