"""Weights & Biases without questions, and MLflow without a server."""

from __future__ import annotations

import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lightning.pytorch.loggers import MLFlowLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from spikeformer.config import registered
from spikeformer.error_handling import check_choice
from spikeformer.i18n import t
from spikeformer.pipeline.ranks import announce

MODES = ("online", "offline", "disabled", "shared")
_SPELLINGS = {"run": "online", "dryrun": "offline"}
_PROBE_SECONDS = 5.0
"""How long W&B's server has to respond before a run goes on without it."""


def wandb_mode(mode: str | None = None) -> str:
    """Return the mode in which W&B runs here.

    In this order: `mode`, the variables `WANDB_DISABLED` and `WANDB_MODE` in all spellings that W&B
    knows, "online" if a key or a login is present, "offline" otherwise. W&B never gets to ask for a
    login.
    """
    if mode is None and os.environ.get("WANDB_DISABLED", "").strip().lower() in _TRUE:
        return "disabled"
    mode = (mode or os.environ.get("WANDB_MODE") or "").strip().lower()
    if mode:
        return check_choice("mode", _SPELLINGS.get(mode, mode), MODES)
    return "online" if _has_key() else "offline"


_TRUE = ("1", "true", "yes", "on", "y", "t")


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    import netrc

    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    try:
        hosts = netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError):
        return False
    return any(urlsplit(url).hostname in hosts for url in {_server(), "https://api.wandb.ai"})


def _server() -> str:
    import wandb

    return os.environ.get("WANDB_BASE_URL") or str(wandb.Settings().base_url)


class PatientWandbLogger(WandbLogger):
    """W&B's logger, offline where the server is out of reach: a run's curves are never lost.

    Args:
        server: Address of the server; it is asked for when the first number comes.
        **options: Arguments of `WandbLogger`.
    """

    def __init__(self, server: str, **options: Any) -> None:
        super().__init__(**options)
        self._server = server

    @property
    def experiment(self) -> Any:
        """The W&B run."""
        import wandb

        if self._experiment is None and wandb.run is not None:
            wandb.finish()  # an earlier child's of a sweep, which Lightning would go on with
        online = self._wandb_init["mode"] in ("online", "shared")
        if online and self._experiment is None and getattr(rank_zero_only, "rank", 0) == 0:
            reason = _obstacle(self._server)
            if reason is None:
                try:
                    return super().experiment
                except wandb.errors.Error as error:
                    reason = str(error).splitlines()[0][:200]
            announce("wandb", t("pipeline.wandb_offline", server=self._server, reason=reason))
            self._wandb_init["mode"] = "offline"
        return super().experiment


def _obstacle(server: str) -> str | None:
    """Return why a server does not respond, None if it does; a proxy of the environment is used."""
    try:
        with urllib.request.urlopen(server, timeout=_PROBE_SECONDS):
            return None
    except urllib.error.HTTPError:
        return None  # it responds, if with an error
    except (OSError, ValueError, http.client.HTTPException) as error:
        return str(getattr(error, "reason", "") or error or type(error).__name__)


def earlier_run_id(save_dir: str | Path) -> str | None:
    """Return the id of the last W&B run in a folder, None if there is none.

    W&B names a run's folder `run-<date>_<time>-<id>`, or `offline-run-...`, with a number behind it
    where two have begun in one second.
    """
    folders = Path(save_dir, "wandb").glob("*run-*-*")
    last = max(folders, key=lambda folder: folder.name.rpartition("run-")[2], default=None)
    if last is None:
        return None
    found = re.search(r"run-\d+_\d+-(.+?)(-\d+)?$", last.name)
    return found and found[1]


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

    Where it is to be online and the server does not respond, it is offline and says so.

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
        silent=True,
        console="off",
        reinit="finish_previous",
        x_disable_meta=True,
        init_timeout=3 * _PROBE_SECONDS,
        login_timeout=3 * _PROBE_SECONDS,
    )
    chosen = wandb_mode(mode)
    options = {key: value for key, value in kwargs.items() if value is not None}
    logger = PatientWandbLogger(
        _server(),
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


@registered
def mlflow_logger(
    save_dir: str,
    experiment: str = "spikeformer",
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> MLFlowLogger:
    """Return Lightning's logger for MLflow, into a database of this machine.

    Where the environment has `MLFLOW_TRACKING_URI`, the numbers go there; a configuration, which
    may be somebody else's, names no server.

    Args:
        save_dir: Folder of the database `mlflow.db`; runs in one folder share it.
        experiment: MLflow's experiment; it is made at need.
        name: Name of the run.
        tags: Tags of the run.

    Raises:
        ModuleNotFoundError: MLflow is not installed.
    """
    database = f"sqlite:///{Path(save_dir).absolute() / 'mlflow.db'}"
    return MLFlowLogger(
        experiment_name=experiment,
        run_name=name,
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or database,
        tags=dict(tags or {}),
    )
