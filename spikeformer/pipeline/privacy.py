"""Consents at the places of a run where they matter: before data are read, and before training."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig

from spikeformer.compliance import ConsentGate
from spikeformer.config import instantiate
from spikeformer.data import SpikingDataModule, TableDataModule
from spikeformer.error_handling import ConfigurationError, ConsentsChangedError
from spikeformer.i18n import t
from spikeformer.pipeline.caching import RunCaches
from spikeformer.pipeline.ranks import announce
from spikeformer.runs import PrivacyResults, RunFolder
from spikeformer.training.callbacks import ConsentWatch


def make_gate(config: DictConfig) -> ConsentGate | None:
    """Return the gate that the group `compliance` describes, if any."""
    gate: ConsentGate | None = instantiate(
        config.compliance or None, ConsentGate, trusted=config.trusted_packages
    )
    return gate


def set_gate(gate: ConsentGate | None, data: SpikingDataModule) -> None:
    """Let the data through a gate.

    Raises:
        ConfigurationError: The data are of a kind that names nobody.
    """
    if isinstance(data, TableDataModule):
        data.gate = gate
    elif gate is not None:
        raise ConfigurationError(t("pipeline.names_nobody", data=type(data).__name__))


@rank_zero_only
def record_use(
    gate: ConsentGate, caches: RunCaches | None, folder: Path, checkpoint: str | None
) -> None:
    """Put on record whose data a run uses, and write `results/privacy.json`.

    Raises:
        ConsentsChangedError: The run was begun with data of others, so that what it has must not
            be gone on with.
    """
    files = RunFolder(folder)
    before = PrivacyResults.load(files)
    if before is not None and before.selection != gate.selection:
        raise ConsentsChangedError(t("pipeline.consents_changed"))
    disk = caches.shared.tensors.disk if caches is not None else None
    use = gate.record(folder, checkpoint=checkpoint, cache=str(disk.folder) if disk else None)
    PrivacyResults(**vars(use)).save(files)
    message = t(
        "pipeline.used",
        samples=use.used.samples,
        count=use.used.subjects,
        purpose=use.purpose.value,
        left_out=gate.reasons(),
    )
    announce("privacy", message)


def consent_watch(data: SpikingDataModule, folder: Path) -> list[ConsentWatch]:
    """Return the callback that asks after every epoch, if the data have a gate."""
    if not isinstance(data, TableDataModule) or data.gate is None:
        return []
    return [ConsentWatch(data, folder)]
