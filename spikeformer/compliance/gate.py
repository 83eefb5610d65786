"""Lets through to training only the samples of people who agreed to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spikeformer.compliance.law import ProcessingPurpose, notice
from spikeformer.compliance.manager import PrivacyManager
from spikeformer.compliance.runs import weights_hash
from spikeformer.compliance.subject import refusal_label
from spikeformer.config import registered
from spikeformer.error_handling import ArgumentError, check_choice
from spikeformer.files import value_hash
from spikeformer.i18n import t


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
    ) -> dict[str, Any]:
        """Put on record that a run uses the samples admitted, before it does.

        Args:
            folder: The run folder.
            checkpoint: File with the weights that the run starts from.
            cache: Folder where decoded data are kept.

        Returns:
            Counts, and the head of the ledger, ready for JSON; nobody is named.

        Raises:
            ComplianceError: Somebody withdrew since the data were read: nothing is trained.
        """
        links = self.manager.vault.links(self.used)
        subjects = {str(links[name]): count for name, count in self.used.items()}
        left_out = {
            reason: {"subjects": len(samples), "samples": sum(samples.values())}
            for reason, samples in sorted(self.left_out.items())
        }
        entry = self.manager.record_run(
            folder,
            self.purpose,
            subjects=subjects,
            left_out=left_out,
            checkpoint=weights_hash(checkpoint),
            cache=cache,
        )
        return {
            "organization": self.manager.organization_name,
            "purpose": self.purpose.value,
            "subjects": len(subjects),
            "samples": sum(subjects.values()),
            "left_out": left_out,
            "selection": self.selection,
            "ledger": {"folder": str(self.manager.folder), "entry": entry.seq, "mac": entry.mac},
            "notice": notice(),
        }

    def record_outputs(self, folder: Path, files: Mapping[str, str]) -> None:
        """Put on record what the run wrote: SHA-256 by path in its folder."""
        self.manager.record_outputs(folder, files)
