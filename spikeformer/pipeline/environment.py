"""Where and from what a run was made: `environment.json`."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from spikeformer.config import masked
from spikeformer.cross_platform import GIB, get_platform_info

_PACKAGES = (
    "spikeformer",
    "torch",
    "lightning",
    "torchmetrics",
    "hydra-core",
    "omegaconf",
    "numpy",
    "numba",
    "wandb",
    "datasets",
    "transformers",
)


def describe_environment(seed: int) -> dict[str, Any]:
    """Return Python, machine, package versions, git state, seed and command, ready for JSON."""
    machine = get_platform_info()
    memory = machine.memory_bytes
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": machine.cpu,
        "cores": machine.cores,
        "threads": torch.get_num_threads(),
        "memory_gib": round(memory / GIB, 1) if memory else None,
        "gpu": machine.gpus[0].name if machine.gpus else None,
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "git": _git_state(Path(__file__).parent),
        "seed": seed,
        "command": shlex.join([Path(sys.argv[0]).name, *map(masked, sys.argv[1:])]),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_state(folder: Path) -> dict[str, Any] | None:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        # An installed package may lie inside somebody else's repository.
        if not (Path(git("rev-parse", "--show-toplevel")) / "spikeformer").is_dir():
            return None
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None
