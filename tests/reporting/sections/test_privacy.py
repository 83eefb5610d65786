"""Whose data the run used, on the page."""

from __future__ import annotations

from types import SimpleNamespace

from spikeformer.compliance import LedgerHead, ProcessingPurpose, UseCount
from spikeformer.i18n import use_locale
from spikeformer.reporting.sections.privacy import privacy
from spikeformer.runs import PrivacyResults


def test_privacy_section_speaks():
    used = PrivacyResults(
        "Lab",
        ProcessingPurpose.MODEL_TRAINING,
        UseCount(2, 1200),
        {"no_consent": UseCount(1, 5)},
        "",
        LedgerHead("", 3, "0123456789abcdef0123"),
    )
    with use_locale("es"):
        consents = dict(privacy(SimpleNamespace(privacy=used)).values["facts"])
    assert consents["Usadas"] == "1.200 muestras de 2 personas"
    assert consents["Omitidas: sin consentimiento"] == "5 muestras de 1 persona"


def test_privacy_section_is_left_out_where_nobody_was_asked():
    assert privacy(SimpleNamespace(privacy=None)) is None
