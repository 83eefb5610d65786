"""Where the vendors' toolchains are: environments of their own, made by `make toolchains`."""

from __future__ import annotations

import os
from pathlib import Path

TOOLCHAINS = ("loihi2", "spinnaker")
"""Names of the toolchains."""
FOLDER_VARIABLE = "SPIKEFORMER_TOOLCHAINS"
"""Environment variable that names the folder with the toolchains, where it is another one."""
_REPOSITORY = Path(__file__).parents[2]


def toolchain_folders() -> list[Path]:
    """Return where to look: the folder of the variable, else that of repository and current one."""
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return [Path(chosen).expanduser().absolute()]
    return list(dict.fromkeys(root / ".toolchains" for root in (_REPOSITORY, Path.cwd())))


def installed_toolchain(name: str) -> Path | None:
    """Return the interpreter of a toolchain's environment, or None if it is not installed."""
    for folder in toolchain_folders():
        environment = folder / name
        if (environment / ".installed").exists():
            return environment / "bin" / "python"
    return None
