"""What a run has done so far: `manifest.json`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from spikeformer.files import UnreadableFileError, file_hash, inside, read_json, write_json
from spikeformer.i18n import t
from spikeformer.runs.layout import RunFolder
from spikeformer.runs.reading import ResultsError

Status = Literal["running", "done", "failed"]


@dataclass
class StageRecord:
    """What one stage did.

    Attributes:
        status: "running", "done" or "failed".
        fingerprint: Hash of everything the stage's result depends on.
        seconds: Time it took.
        result: Its numbers.
        inputs: What it depends on, by hash.
        outputs: Files it wrote, relative to the run folder, with their SHA-256.
        error: Why it failed.
    """

    status: Status
    fingerprint: str = ""
    seconds: float | None = None
    result: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    error: str | None = None


@dataclass
class _ManifestFile:
    name: str
    created: str
    stages: dict[str, StageRecord]
    cache: dict[str, Any] = field(default_factory=dict)
    choices: dict[str, str] = field(default_factory=dict)


@dataclass
class Manifest:
    """The stages of a run, saved after every change.

    Attributes:
        folder: The run folder.
        name: Name of the run.
        created: When it was first started, ISO 8601 in UTC.
        stages: Records by stage name, in the order in which they first ran.
        cache: How often the caches were hit; empty without them.
        choices: The option of each config group; empty outside of the command line.
    """

    folder: Path
    name: str
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    stages: dict[str, StageRecord] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=dict)
    choices: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, name: str) -> Manifest:
        """Read a run folder's manifest, or begin a new one.

        Raises:
            ResultsError: The file is not a manifest.
        """
        path = RunFolder(folder).manifest
        try:
            found = read_json(path, _ManifestFile)
        except FileNotFoundError:
            return cls(folder, name)
        except UnreadableFileError as error:
            raise ResultsError(t("pipeline.no_manifest", path=path, reason=error.reason)) from error
        return cls(folder, **vars(found))

    def save(self) -> None:
        """Write the manifest in one step."""
        stages = {key: asdict(record) for key, record in self.stages.items()}
        content = {
            "name": self.name,
            "created": self.created,
            "choices": self.choices,
            "stages": stages,
        }
        if self.cache:
            content["cache"] = self.cache
        write_json(RunFolder(self.folder).manifest, content)

    def is_current(self, stage: str, fingerprint: str) -> bool:
        """Tell whether a stage is done, from the same inputs, with its files untouched.

        Raises:
            UnsafePathError: The record names a file outside of the run folder.
        """
        record = self.stages.get(stage)
        return (
            record is not None
            and record.status == "done"
            and record.fingerprint == fingerprint
            and all(
                path.is_file() and file_hash(path) == digest
                for path, digest in self._outputs(record)
            )
        )

    def _outputs(self, record: StageRecord) -> Iterator[tuple[Path, str]]:
        for name, digest in record.outputs.items():
            yield inside(self.folder, name), digest
