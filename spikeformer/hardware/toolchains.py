"""Where the vendors' toolchains are: environments of their own, made by `make toolchains`."""

from __future__ import annotations

import os
from pathlib import Path

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.i18n import t

FOLDER_VARIABLE = "SPIKEFORMER_TOOLCHAINS"
"""Environment variable that names the folder with the toolchains, where it is another one."""
_REPOSITORY = Path(__file__).parents[2]


def find_toolchain(name: str, python: str | Path | None = None) -> Path:
    """Return the interpreter of a toolchain's environment.

    Args:
        name: "loihi2" or "spinnaker".
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
    folders = _folders()
    for folder in folders:
        environment = folder / name
        if (environment / ".installed").exists():
            return environment / "bin" / "python"
    looked = ", ".join(str(folder / name) for folder in folders)
    raise HardwareCompatibilityError(t("hardware.no_toolchain", name=name, looked=looked))


def _folders() -> list[Path]:
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return [Path(chosen).expanduser().absolute()]
    return list(dict.fromkeys(root / ".toolchains" for root in (_REPOSITORY, Path.cwd())))
