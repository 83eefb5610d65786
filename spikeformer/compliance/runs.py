"""Which runs used whose data, and what came of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikeformer.compliance.ledger import Entry
from spikeformer.files import file_hash

WEIGHTS = ("checkpoints/*.ckpt", "converted/*.safetensors", "hardware/*.npz", "hardware/*.ckpt")
"""Where a run folder holds what was learnt from data."""

SAMPLES = ("results/sample.npz", "figures/*", "report.html")
"""Where a run folder may show single samples."""


@dataclass
class RunUse:
    """One run as the ledger knows it.

    Attributes:
        folder: The run folder.
        entry: Number of the ledger's entry.
        purpose: What the data were used for.
        subjects: Samples used, by pseudonym.
        checkpoint: Hash of the weights that it started from, if any.
        cache: Folder on disk where the decoded data may lie.
        outputs: SHA-256 of what its stages wrote, by path in the folder.
    """

    folder: str
    entry: Entry
    purpose: str
    subjects: dict[str, int]
    checkpoint: str | None
    cache: str | None
    outputs: dict[str, str] = field(default_factory=dict)


def read_runs(entries: Iterable[Entry]) -> list[RunUse]:
    """Return every start of a run, with what its folder got."""
    runs: list[RunUse] = []
    for entry in entries:
        payload = entry.payload
        if entry.kind == "run":
            runs.append(
                RunUse(
                    payload["folder"],
                    entry,
                    payload["purpose"],
                    payload["subjects"],
                    payload["checkpoint"],
                    payload["cache"],
                )
            )
        elif entry.kind == "outputs":
            for run in runs:
                if run.folder == payload["folder"]:
                    run.outputs.update(payload["files"])
    return runs


def affected_by(pseudonym: str, runs: list[RunUse]) -> list[RunUse]:
    """Return the runs that used a person's data, and those that started from their weights."""
    affected = [run for run in runs if pseudonym in run.subjects]
    weights = {digest for run in affected for digest in run.outputs.values()}
    for run in runs:  # in order of time, so that one pass follows chains of runs
        if run not in affected and run.checkpoint in weights:
            affected.append(run)
            weights.update(run.outputs.values())
    return affected


def describe(run: RunUse, pseudonym: str) -> dict[str, Any]:
    """Return what a person's erasure means for a run: files to remove, and where to train again."""
    return {
        "folder": run.folder,
        "started": run.entry.time.isoformat(timespec="seconds"),
        "purpose": run.purpose,
        "samples": run.subjects.get(pseudonym, 0),
        "through_weights_of_another_run": pseudonym not in run.subjects,
        "checkpoints": _present(run, WEIGHTS),
        "files_that_show_samples": _present(run, SAMPLES),
        "cache": run.cache,
    }


def remaining_weights(run: RunUse) -> list[str]:
    """Return the files with weights that are still there."""
    return [file["path"] for file in _present(run, WEIGHTS) if file["exists"]]


def _present(run: RunUse, patterns: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the files of a kind that were recorded or lie in the folder."""
    folder = Path(run.folder)
    recorded = {name for name in run.outputs if any(Path(name).match(p) for p in patterns)}
    found = {str(p.relative_to(folder)) for pattern in patterns for p in folder.glob(pattern)}
    return [
        {"path": str(folder / name), "exists": name in found, "sha256": run.outputs.get(name)}
        for name in sorted(recorded | found)
    ]


def weights_hash(path: str | None) -> str | None:
    """Return the hash of the file with weights that a run starts from."""
    return file_hash(Path(path)) if path and Path(path).is_file() else None
