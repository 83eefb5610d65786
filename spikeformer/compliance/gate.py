"""Lets through to training only the samples of people who agreed to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from spikeformer.compliance.law import ProcessingPurpose
from spikeformer.compliance.manager import PrivacyManager
from spikeformer.compliance.runs import weights_hash
from spikeformer.compliance.subject import refusal_label
from spikeformer.config import registered
from spikeformer.error_handling import ArgumentError, check_choice
from spikeformer.files import value_hash
from spikeformer.i18n import t


@dataclass(frozen=True)
class UseCount:
    """Some people's samples.

    Attributes:
        subjects: Number of people.
        samples: Number of their samples.
    """

    subjects: int
    samples: int


@dataclass(frozen=True)
class LedgerHead:
    """The ledger's newest entry, by which its later state can be verified.

    Attributes:
        folder: Where the ledger lies.
        entry: Number of the entry.
        mac: Its authentication code.
    """

    folder: str
    entry: int
    mac: str


@dataclass(frozen=True)
class DataUse:
    """Whose data a run uses, in numbers; nobody is named.

    Attributes:
        organization: Who is responsible.
        purpose: What the data are used for.
        used: Who agreed.
        left_out: Who was left out, by a reason of `SubjectState.refusal`.
        selection: Hash of who was admitted, with how many samples.
        ledger: The entry that records it.
    """

    organization: str
    purpose: ProcessingPurpose
    used: UseCount
    left_out: dict[str, UseCount]
    selection: str
    ledger: LedgerHead


@registered
class ConsentGate:
    """Chooses the samples that may be used, and puts on record who they were from.

    Args:
        folder: Where the records of consent lie; None is `default_folder()`.
        subject_key: Column of the data that names the person of each sample; None finds it.
        purpose: What the data are used for, a value of `ProcessingPurpose`.
        on_withdrawal: What a run does when somebody's data may not be used any more: "stop" ends
            it with an error; "drop" goes on without that person's samples.

    Raises:
        ArgumentError: There is no such purpose.
        ComplianceError: There are no records of consent, or they cannot be opened.
        LedgerTamperedError: They are not what was written.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        subject_key: str | None = None,
        purpose: str = "model_training",
        on_withdrawal: str = "stop",
    ) -> None:
        try:
            self.purpose = ProcessingPurpose(purpose)
        except ValueError:
            choices = ", ".join(each.value for each in ProcessingPurpose)
            raise ArgumentError("purpose", purpose, f"one of {choices}") from None
        self.on_withdrawal = check_choice("on_withdrawal", on_withdrawal, ("stop", "drop"))
        self.manager = PrivacyManager.open(folder)
        self.subject_key = subject_key
        self.used: Counter[str] = Counter()
        self.left_out: dict[str, Counter[str]] = {}

    def admitted(self, subjects: Sequence[str]) -> list[int]:
        """Return which samples may be used, and count them.

        Args:
            subjects: The person of each sample.
        """
        why = self.manager.refusals(sorted(set(subjects)), self.purpose)
        admitted = []
        for index, subject in enumerate(subjects):
            reason = why[subject]
            if reason is None:
                admitted.append(index)
                self.used[subject] += 1
            else:
                self.left_out.setdefault(reason, Counter())[subject] += 1
        return admitted

    def reasons(self) -> str:
        """Return why samples were left out, for people."""
        parts = [
            t(
                "compliance.left_out",
                samples=sum(samples.values()),
                count=len(samples),
                reason=refusal_label(reason),
            )
            for reason, samples in sorted(self.left_out.items())
        ]
        return ", ".join(parts) or t("compliance.none")

    @property
    def selection(self) -> str:
        """Hash of who was admitted, with how many samples."""
        links = self.manager.vault.links(self.used)
        return value_hash({str(links[name]): count for name, count in self.used.items()})

    def withdrawn(self) -> dict[str, str]:
        """Return who of those admitted may not be used any more, and why."""
        why = self.manager.refusals(sorted(self.used), self.purpose)
        return {name: reason for name, reason in why.items() if reason is not None}

    def leave_out(self, gone: Mapping[str, str]) -> None:
        """Count people as left out who were admitted: name and reason."""
        for name, reason in gone.items():
            self.left_out.setdefault(reason, Counter())[name] += self.used.pop(name)

    def record_dropped(self, folder: Path, subjects: Iterable[str]) -> None:
        """Put on record that a run goes on without some people, as the data name them."""
        links = self.manager.vault.links(subjects)
        self.manager.record_dropped(folder, [name for name in links.values() if name is not None])

    def record(
        self, folder: Path, *, checkpoint: str | None = None, cache: str | None = None
    ) -> DataUse:
        """Put on record that a run uses the samples admitted, before it does.

        Args:
            folder: The run folder.
            checkpoint: File with the weights that the run starts from.
            cache: Folder where decoded data are kept.

        Returns:
            Counts, and the head of the ledger.

        Raises:
            ComplianceError: Somebody withdrew since the data were read: nothing is trained.
        """
        links = self.manager.vault.links(self.used)
        subjects = {str(links[name]): count for name, count in self.used.items()}
        left_out = {
            reason: UseCount(len(samples), sum(samples.values()))
            for reason, samples in sorted(self.left_out.items())
        }
        entry = self.manager.record_run(
            folder,
            self.purpose,
            subjects=subjects,
            left_out={reason: asdict(count) for reason, count in left_out.items()},
            checkpoint=weights_hash(checkpoint),
            cache=cache,
        )
        return DataUse(
            organization=self.manager.organization_name,
            purpose=self.purpose,
            used=UseCount(len(subjects), sum(subjects.values())),
            left_out=left_out,
            selection=self.selection,
            ledger=LedgerHead(str(self.manager.folder), entry.seq, entry.mac),
        )

    def record_outputs(self, folder: Path, files: Mapping[str, str]) -> None:
        """Put on record what the run wrote: SHA-256 by path in its folder."""
        self.manager.record_outputs(folder, files)
