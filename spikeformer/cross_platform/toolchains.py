"""Where the chips' toolchains are: environments of their own, made by `make toolchains`."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER_VARIABLE = "SPIKEFORMER_TOOLCHAINS"
"""Environment variable that names the folder with the toolchains, where it is another one."""
_REPOSITORY = Path(__file__).parents[2]


def toolchain_folders() -> list[Path]:
    """Return where to look: the folder of the variable, else that of repository and current one."""
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return [Path(chosen).expanduser().absolute()]
    return list(dict.fromkeys(root / ".toolchains" for root in (_REPOSITORY, Path.cwd())))


def installed_toolchains() -> dict[str, Path]:
    """Return the interpreters of the toolchains that are installed, by name."""
    found: dict[str, Path] = {}
    for folder in toolchain_folders():
        for mark in sorted(folder.glob("*/.installed")):
            python = mark.parent / "bin" / "python"
            if os.path.lexists(python):
                found.setdefault(mark.parent.name, python)
    return found
