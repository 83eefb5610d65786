"""What somebody agreed to, and until when."""

from __future__ import annotations

from datetime import timedelta

from spikeformer.compliance import DataSubject, ProcessingPurpose
from tests.compliance.records import ANNA, START, TRAINING, agreed


def test_consent_is_for_a_purpose_and_a_time(manager, clock):
    manager.register_data_subject(ANNA)
    assert manager.record_consent("anna", [TRAINING], expires=START + timedelta(days=9)) is True
    assert manager.record_consent("anna", [TRAINING], expires=START + timedelta(days=9)) is False
    assert manager.refusal("anna", TRAINING) is None
    assert manager.refusal("anna", ProcessingPurpose.SHARING) == "no_consent"
    clock.forward(days=9)
    assert manager.refusal("anna", TRAINING) == "expired"
    assert manager.record_consent("anna", [TRAINING]) is True
    assert manager.refusal("anna", TRAINING) is None
    assert manager.withdraw_consent("anna") is True
    assert manager.withdraw_consent("anna") is False
    assert manager.refusal("anna", TRAINING) == "withdrawn"
    assert manager.record_consent("anna", [TRAINING]) is True
    assert manager.refusal("anna", TRAINING) is None


def test_retention_counts_from_the_end_of_the_last_consent(manager, clock):
    """From expiry, withdrawal or objection, whichever came first; not from when it was given."""
    for name in ("expires", "objects", "withdraws", "both", "late"):
        manager.register_data_subject(DataSubject(name))
    end = START + timedelta(days=300)
    manager.record_consent("expires", [TRAINING], expires=end)
    manager.record_consent("late", [TRAINING], expires=START + timedelta(days=50))
    manager.record_consent("both", [TRAINING], expires=end)
    manager.record_consent("both", ["research"], expires=START + timedelta(days=9))
    manager.record_consent("objects", [TRAINING])
    manager.record_consent("withdraws", [TRAINING], expires=end)
    manager.set_retention(100)
    clock.forward(days=200)
    manager.handle_data_subject_request("objection", "objects")
    manager.withdraw_consent("withdraws")
    manager.withdraw_consent("late")  # it had ended by itself at day 50

    def due(day):
        clock.now = START + timedelta(days=day)
        return {manager.person(state.pseudonym).subject_id for state in manager.beyond_retention()}

    assert due(200) == {"late"}
    assert due(299) == {"late"}
    assert due(300) == {"late", "objects", "withdraws"}
    assert due(399) == {"late", "objects", "withdraws"}
    assert due(400) == {"late", "objects", "withdraws", "expires", "both"}


def test_what_is_restricted_is_kept(manager, clock):
    """Art. 18(1): the person may want the data kept, as for legal claims."""
    agreed(manager, "anna")
    manager.set_retention(10)
    manager.withdraw_consent("anna")
    manager.handle_data_subject_request("restriction", "anna")
    clock.forward(days=100)
    assert manager.beyond_retention() == []
    manager.lift_restriction("anna")
    assert len(manager.beyond_retention()) == 1
