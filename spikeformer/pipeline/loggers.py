"""Weights & Biases without questions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger

from spikeformer.config import registered
from spikeformer.error_handling import check_choice

MODES = ("online", "offline", "disabled", "shared")


def wandb_mode(mode: str | None = None) -> str:
    """Return the mode in which W&B runs here.

    In this order: `mode`, the variable `WANDB_MODE`, "online" if a key or a login is present,
    "offline" otherwise. W&B never gets to ask for a login.
    """
    mode = mode or os.environ.get("WANDB_MODE")
    if mode is not None:
        return check_choice("mode", mode, MODES)
    return "online" if _has_key() else "offline"


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    import netrc

    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    try:
        hosts = netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError):
        return False
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").partition("//")[2]
    return host.strip("/") in hosts


def earlier_run_id(save_dir: str | Path) -> str | None:
    """Return the id of the last W&B run in a folder, None if there is none.

    W&B names a run's folder `run-<date>_<time>-<id>`, or `offline-run-...`.
    """
    folders = Path(save_dir, "wandb").glob("*run-*-*")
    last = max(folders, key=lambda folder: folder.name.rpartition("run-")[2], default=None)
    return last.name.split("-")[-1] if last is not None else None


@registered
def wandb_logger(
    save_dir: str,
    project: str = "spikeformer",
    name: str | None = None,
    mode: str | None = None,
    tags: Sequence[str] = (),
    id: str | None = None,  # noqa: A002 - W&B's own name for it
    **kwargs: Any,
) -> WandbLogger:
    """Return a Lightning logger for W&B that works offline and asks nothing.

    Args:
        save_dir: Folder that gets the `wandb/` folder.
        project: W&B project.
        name: Name of the run.
        mode: "online", "offline" or "disabled"; None chooses, see `wandb_mode`.
        tags: Tags of the run.
        id: Id of the W&B run; None goes on with the last one in `save_dir`, or begins a new one.
        **kwargs: Further arguments of `wandb.init`, as `entity`, `group`, `job_type`.

    Raises:
        ArgumentError: `mode` is none of W&B's.
    """
    import wandb

    # `x_disable_meta`: W&B would record the command line as it was typed, with keys in it.
    # Sweep children each need a run of their own in one process.
    settings = wandb.Settings(
        silent=True, console="off", reinit="finish_previous", x_disable_meta=True
    )
    chosen = wandb_mode(mode)
    options = {key: value for key, value in kwargs.items() if value is not None}
    logger = WandbLogger(
        name=name,
        save_dir=save_dir,
        project=project,
        # Not `offline=True`: Lightning would set WANDB_MODE for the whole process.
        mode=chosen,
        settings=settings,
        tags=list(tags),
        id=id or earlier_run_id(save_dir),
        **options,
    )
    # Lightning passes on a setting that W&B has dropped and warns about.
    logger._wandb_init.pop("anonymous", None)
    return logger
