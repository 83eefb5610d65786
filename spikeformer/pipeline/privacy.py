"""Consents at the two places of a run where they matter: before it, and after each stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig

from spikeformer.compliance import ConsentGate
from spikeformer.config import instantiate
from spikeformer.data import SpikingDataModule, TableDataModule
from spikeformer.error_handling import ComplianceError, ConfigurationError
from spikeformer.files import write_json
from spikeformer.i18n import t
from spikeformer.pipeline.announce import announce
from spikeformer.training.callbacks import ConsentWatch

if TYPE_CHECKING:
    from spikeformer.pipeline.run import Run


def set_gate(config: DictConfig, data: SpikingDataModule) -> ConsentGate | None:
    """Let the data through the gate that the group `compliance` describes, if any.

    Raises:
        ConfigurationError: The data are of a kind that names nobody.
    """
    gate: ConsentGate | None = instantiate(
        config.compliance or None, trusted=config.trusted_packages
    )
    if gate is not None and not isinstance(data, TableDataModule):
        raise ConfigurationError(t("pipeline.names_nobody", data=type(data).__name__))
    if isinstance(data, TableDataModule):
        data.gate = gate
    return gate


@rank_zero_only
def record_use(run: Run) -> None:
    """Put on record whose data the run uses, and write `results/privacy.json`.

    Raises:
        ComplianceError: The run was begun with data of others, so that what it has must not be
            gone on with.
    """
    gate, caches = run.parts.gate, run.parts.caches
    if gate is None:
        return
    file = run.folder / "results" / "privacy.json"
    if file.is_file() and json.loads(file.read_text())["selection"] != gate.selection:
        raise ComplianceError(t("pipeline.consents_changed"))
    disk = caches.shared.tensors.disk if caches is not None else None
    used = gate.record(
        run.folder, checkpoint=run.config.checkpoint, cache=str(disk.folder) if disk else None
    )
    write_json(file, used)
    told = {"samples": used["samples"], "count": used["subjects"], "purpose": used["purpose"]}
    announce("privacy", t("pipeline.used", **told, left_out=gate.reasons()))


def consent_watch(data: SpikingDataModule, folder: Path) -> list[ConsentWatch]:
    """Return the callback that asks after every epoch, if the data have a gate."""
    if not isinstance(data, TableDataModule) or data.gate is None:
        return []
    return [ConsentWatch(data, folder)]


def ask_again(run: Run) -> None:
    """Ask before a stage whether the data may still be used.

    Raises:
        ComplianceError: Somebody withdrew, and the run is to stop then.
        DataError: Nothing is left of a split.
    """
    for watch in consent_watch(run.parts.data, run.folder):
        watch.ask(run.parts.trainer)


def record_outputs(run: Run, stage: str) -> None:
    """Put on record what a stage wrote."""
    gate = run.parts.gate
    outputs = run.manifest.stages[stage].outputs
    if gate is not None and outputs:
        gate.record_outputs(run.folder, outputs)
