"""Runs the stages of a pipeline in order, skipping what is done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig

from spikeformer.config import (
    comes_from_environment,
    configured_locale,
    instantiate,
    masked,
    recorded,
)
from spikeformer.data import SpikingDataModule
from spikeformer.error_handling import ConfigurationError, interruptible
from spikeformer.files import KnownFiles, file_hash, files_in, remove_leftovers, value_hash
from spikeformer.i18n import t, use_locale
from spikeformer.pipeline.build import build
from spikeformer.pipeline.ranks import announce
from spikeformer.pipeline.run import Run
from spikeformer.pipeline.stages.stage import Stage, stage_inputs
from spikeformer.runs import RunFolder
from spikeformer.runs.manifest import Manifest, StageRecord


def run_pipeline(config: DictConfig, folder: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Run the stages that `config.pipeline` names.

    Args:
        config: The composed configuration.
        folder: The run folder; a manifest in it means that the run is resumed.
        overrides: What the user changed, for the record.

    Returns:
        The numbers of every stage, by stage name.

    Raises:
        SpikeformerError: The configuration or the data is not usable, or a stage failed. What
            earlier stages wrote stays.
    """
    config = config.copy()  # the platform chooses some of it
    if comes_from_environment(config, "name"):
        config.name = "run"  # it goes to places that others read
    with use_locale(configured_locale(config.locale)):
        return _run_stages(config, folder, overrides)


def _run_stages(config: DictConfig, folder: Path, overrides: Sequence[str]) -> dict[str, Any]:
    manifest = open_manifest(config, folder)
    stages = make_stages(config)
    parts = build(
        config,
        folder,
        trains=any(stage.trains for stage in stages),
        takes_data=any(stage.takes_data for stage in stages),
    )
    known = KnownFiles(RunFolder(folder).inputs)
    contents = file_contents(config, parts.data, known)
    run = Run(folder, config, parts, manifest, dict(manifest.stages), contents)
    services = run.parts.services
    for stage in stages:
        stage.check(run)
    services.note_caches(manifest)
    run.write_description(list(overrides))
    rank_zero_only(known.save)()
    services.before_stages()
    if not _is_finished(stages, run):  # else there is nothing to log
        for logger in run.parts.loggers:
            logger.log_hyperparams(recorded(config))
    upstream = ""
    with interruptible():
        for stage in stages:
            services.note_caches(manifest)  # for the report, which comes last
            services.before_stage(run.parts.data, run.parts.trainer)
            upstream = execute(stage, run, upstream)
            if run.parts.trainer.is_global_zero:
                services.after_stage(manifest, stage.name)
    services.close()
    return {name: record.result for name, record in manifest.stages.items()}


def file_contents(config: DictConfig, data: SpikingDataModule, known: KnownFiles) -> dict[str, str]:
    """Return a hash of the files behind each part of the configuration that names some.

    Args:
        config: The composed configuration.
        data: The data, which know their files.
        known: Hashes of an earlier attempt.
    """
    pretrained, baseline = config.model.get("pretrained"), config.report.baseline
    files = {
        "data": data.data_files(),
        "checkpoint": [Path(config.checkpoint)] if config.checkpoint else [],
        "report": [RunFolder(Path(baseline)).manifest] if baseline else [],
        "model": files_in(Path(pretrained).expanduser()) if pretrained else [],
    }
    return {key: known.digest(paths) for key, paths in files.items()}


def open_manifest(config: DictConfig, folder: Path) -> Manifest:
    """Open the manifest of a run that is resumed, or begin one in a folder that is free.

    Raises:
        ConfigurationError: The folder is somebody's, or that of a run which lost its manifest.
    """
    manifest = Manifest.open(folder, config.name)
    if HydraConfig.initialized():
        choices = HydraConfig.get().runtime.choices
        manifest.choices = {key: str(choices[key]) for key in choices if "/" not in key}
    if manifest.stages:
        rank_zero_only(remove_leftovers)(folder)
    else:
        _refuse_occupied(folder)
    return manifest


def make_stages(config: DictConfig) -> list[Stage]:
    """Create the stages that `config.pipeline` names, without those that nothing asks for."""
    stages: list[Stage] = [
        instantiate(node, Stage, trusted=config.trusted_packages) for node in config.pipeline.stages
    ]
    return [stage for stage in stages if stage.is_wanted(config)]


_WRITTEN = (
    "config.yaml",
    "overrides.yaml",
    "environment.json",
    "inputs.json",
    "checkpoints",
    "metrics.csv",
    "figures",
    "results",
    "converted",
    "hardware",
    "report.html",
)
"""What a run writes into its folder, and would overwrite there."""


@rank_zero_only
def _refuse_occupied(folder: Path) -> None:
    """Refuse a folder without a manifest that holds what a run would overwrite.

    Raises:
        ConfigurationError: It is somebody's folder, or a run that has lost its manifest.
    """
    if (folder / "manifest.json").exists():
        return
    for path in (folder / name for name in _WRITTEN):
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            raise ConfigurationError(t("pipeline.occupied", folder=folder, name=path.name))


def _is_finished(stages: Sequence[Stage], run: Run) -> bool:
    """Tell whether every stage is done already."""
    upstream = ""
    for stage in stages:
        upstream = value_hash(stage_inputs(stage, run, upstream))
        if not run.manifest.is_current(stage.name, upstream):
            return False
    return True


def execute(stage: Stage, run: Run, upstream: str) -> str:
    """Run one stage unless it is done already; return its fingerprint."""
    fingerprint = _execute(stage, run, upstream)
    run.newest = stage.weights_made or run.newest
    return fingerprint


def _execute(stage: Stage, run: Run, upstream: str) -> str:
    inputs = stage_inputs(stage, run, upstream)
    fingerprint = value_hash(inputs)
    if not (stage.every_rank or run.parts.trainer.is_global_zero):
        return fingerprint
    manifest = run.manifest
    if manifest.is_current(stage.name, fingerprint):
        before = stage.summary(manifest.stages[stage.name].result)
        announce(stage.name, t("pipeline.unchanged", summary=before))
        return fingerprint
    record = StageRecord("running", fingerprint, inputs=inputs)
    keep(run, stage.name, record)
    start = time.perf_counter()
    try:
        result = _run(stage, run)
    except BaseException as error:
        record.status, record.error = "failed", masked(f"{type(error).__name__}: {error}")
        record.seconds = time.perf_counter() - start
        with suppress(OSError):  # on a full disk the error itself is the news
            keep(run, stage.name, record)
        raise
    record.status, record.result = "done", result
    record.seconds = time.perf_counter() - start
    record.outputs = {
        str(path.relative_to(run.folder)): file_hash(path) for path in stage.outputs(run)
    }
    keep(run, stage.name, record)
    announce(stage.name, stage.summary(result))
    return fingerprint


def _run(stage: Stage, run: Run) -> dict[str, Any]:
    try:
        return stage.run(run)
    except SystemExit as stop:  # what Lightning makes of an interruption
        cause = stop.__context__
        raise cause if isinstance(cause, KeyboardInterrupt) else KeyboardInterrupt from stop


@rank_zero_only
def keep(run: Run, name: str, record: StageRecord) -> None:
    """Save a stage's record."""
    run.manifest.stages[name] = record
    run.manifest.save()
