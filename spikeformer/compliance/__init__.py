"""Consents, requests and uses of personal data, on record. A tool, not legal advice."""

from spikeformer.compliance.auditor import ComplianceAuditor
from spikeformer.compliance.gate import ConsentGate, DataUse, LedgerHead, UseCount
from spikeformer.compliance.law import (
    ComplianceFramework,
    ProcessingPurpose,
    RequestType,
    due_date,
    notice,
)
from spikeformer.compliance.ledger import Entry, Ledger
from spikeformer.compliance.manager import PrivacyManager, default_folder
from spikeformer.compliance.report import ComplianceReport, Finding
from spikeformer.compliance.requests import Request, RequestDesk
from spikeformer.compliance.runs import RunUse
from spikeformer.compliance.subject import Consent, DataSubject, SubjectState, refusal_label
from spikeformer.compliance.vault import KeyVault

__all__ = [
    "ComplianceAuditor",
    "ComplianceFramework",
    "ComplianceReport",
    "Consent",
    "ConsentGate",
    "DataSubject",
    "DataUse",
    "Entry",
    "Finding",
    "KeyVault",
    "Ledger",
    "LedgerHead",
    "PrivacyManager",
    "ProcessingPurpose",
    "Request",
    "RequestDesk",
    "RequestType",
    "RunUse",
    "SubjectState",
    "UseCount",
    "default_folder",
    "due_date",
    "notice",
    "refusal_label",
]
