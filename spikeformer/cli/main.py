"""The entry point: compose, run, and say plainly what is wrong."""

from __future__ import annotations

import gc
import logging
import os
import shlex
import signal
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from spikeformer import importing
from spikeformer.cli.checkpoint import differences, with_checkpoints_overrides
from spikeformer.cli.commands import as_overrides, overview
from spikeformer.cli.config import config_folder, help_text, register_resolvers
from spikeformer.cli.messages import cause, check_arguments, explain, set_locale
from spikeformer.cli.next_steps import next_steps
from spikeformer.cli.paths import with_quoted_paths
from spikeformer.cli.resume import with_resumed_overrides
from spikeformer.cli.run_folder import recorded, take_back
from spikeformer.cli.sweep import as_a_command_of_its_own, with_page_of_sweep
from spikeformer.config import as_typed
from spikeformer.error_handling import (
    ConsentsChangedError,
    SpikeformerError,
    StorageError,
    interruptible,
)
from spikeformer.i18n import t

MISTAKES = (
    SpikeformerError,
    HydraException,
    OmegaConfBaseException,
    OSError,
    KeyboardInterrupt,
)
"""What a user can mend: shown as a message, without a traceback."""

FEW = 10_000
"""More objects are frozen after a job's imports; Python 3.12 freezes some hundreds by itself."""


def main(default: str | None = None) -> None:
    """Do what the command line asks for: one of `COMMANDS`, or the pipeline that it configures.

    Args:
        default: The command that an empty command line stands for; None lists the commands.
    """
    # Hydra then raises its errors instead of printing a traceback and exiting.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    try:
        with interruptible():
            _run(default)
    except MISTAKES as error:
        _leave(error)


def _run(default: str | None) -> None:
    set_locale(sys.argv[1:])
    if default is None and sys.argv[1:] in ([], ["-h"], ["--help"]):
        print(overview())
        return
    asked = as_overrides(sys.argv[1:] or [default or "train"])
    if isinstance(asked, int):
        if asked:
            sys.exit(asked)
        return
    register_resolvers()
    check_arguments(asked, config_folder())
    if {"-h", "--help"} & set(asked):
        print(help_text(asked))
        return
    sys.argv[1:] = with_resumed_overrides(with_quoted_paths(asked))
    sys.argv[1:] = with_checkpoints_overrides(sys.argv[1:])
    set_locale(sys.argv[1:])
    with with_page_of_sweep():
        hydra.main(config_path=config_folder(), config_name="train", version_base="1.3")(_job)()


def _job(config: DictConfig) -> dict[str, Any] | None:
    # Torch and Lightning are heavy; help and misspelt keys need not wait for them.
    with importing():
        if "wandb" in (config.logger or {}):
            # W&B's classes look through every module that is loaded: before torch, there are few.
            import wandb.apis.public  # noqa: F401
        from spikeformer.pipeline import run_pipeline
        from spikeformer.pipeline.ranks import announce
    if gc.get_freeze_count() < FEW:  # the first job: what a sweep's earlier ones left is garbage
        gc.freeze()  # what was imported stays: no later search for garbage looks at it

    _quieten_libraries()
    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    try:
        with as_a_command_of_its_own(), recorded(folder):
            if line := differences(config):
                announce("config", line)
            results = run_pipeline(config, folder, as_typed(hydra_config.overrides.task))
    except MISTAKES as error:
        if not (folder / "manifest.json").exists():
            take_back(folder)
        elif hydra_config.mode == RunMode.MULTIRUN and isinstance(error, KeyboardInterrupt):
            sweep = shlex.quote(str(Path(hydra_config.sweep.dir).resolve()))
            print(t("cli.runs_are_kept", folder=sweep), file=sys.stderr)
        elif not isinstance(error, ConsentsChangedError):  # such a run is not resumed
            print(t("cli.stages_are_kept", folder=shlex.quote(str(folder))), file=sys.stderr)
        if hydra_config.mode == RunMode.RUN and os.environ.get("LOCAL_RANK", "0") == "0":
            # Leave here, before Hydra announces the error in its own words.
            _leave(error)
        raise
    if hydra_config.mode == RunMode.RUN:
        chosen = hydra_config.runtime.choices.get("hardware")
        if line := next_steps(folder, config, chosen):
            announce("next", line)
    return results


def _leave(error: BaseException) -> NoReturn:
    error = cause(error)
    message = explain(error, sys.argv[1:], config_folder())
    print(t("cli.error", message=message), file=sys.stderr)
    if isinstance(error, KeyboardInterrupt):
        sys.exit(128 + getattr(error, "signal_number", signal.SIGINT))
    # The command is right, the disk is not.
    sys.exit(1 if isinstance(error, StorageError) else 2)


def _quieten_libraries() -> None:
    """Leave the terminal to the progress bar and the stages' lines; `run.log` keeps warnings."""
    logging.raiseExceptions = False  # a full disk is told of once, not with each line of the log
    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "pytorch_lightning"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        logger.handlers.clear()
    # One process that decodes once into memory needs no loader workers; the rest is third
    # parties' housekeeping that a user can do nothing about.
    for message in (
        "does not have many workers",
        "LeafSpec",
        "exists and is not empty",
        "number of training batches",
        "returned a view tensor",
        # Ours is, by `StopOnSignal`, in a way that Lightning does not look for.
        "dataloader is not resumable",
    ):
        warnings.filterwarnings("ignore", f".*{message}.*")
