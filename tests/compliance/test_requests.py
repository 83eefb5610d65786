"""Requests of data subjects, and their deadlines."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from spikeformer.compliance import ProcessingPurpose
from spikeformer.error_handling import ArgumentError
from tests.compliance.records import ANNA, TRAINING


def test_access_and_portability_tell_everything(manager):
    manager.register_data_subject(ANNA)
    manager.record_consent("anna", [TRAINING], evidence="form 7")
    answer = manager.handle_data_subject_request("access", "anna")
    assert answer["legal_reference"] == "GDPR Art. 15"
    assert answer["data"] == ANNA.to_dict()
    assert answer["consents"][0]["evidence"] == "form 7"
    assert answer["due"].startswith("2027-02-28")
    assert answer["status"] == "answered"
    assert "not legal advice" in answer["notice"]
    export = manager.handle_data_subject_request("portability", "anna")["export"]
    assert export["data"]["attributes"] == {"city": "Kraków"}


def test_rectification_restriction_and_objection(manager):
    manager.register_data_subject(ANNA)
    manager.record_consent("anna", list(ProcessingPurpose))
    manager.handle_data_subject_request("rectification", "anna", details={"name": "Anna Lis"})
    assert manager.handle_data_subject_request("access", "anna")["data"]["name"] == "Anna Lis"
    manager.handle_data_subject_request("restriction", "anna")
    assert manager.refusal("anna", TRAINING) == "restricted"
    assert manager.lift_restriction("anna") is True
    assert manager.refusal("anna", TRAINING) is None
    manager.handle_data_subject_request("objection", "anna", details={"purposes": ["sharing"]})
    assert manager.refusal("anna", ProcessingPurpose.SHARING) == "objected"
    assert manager.refusal("anna", TRAINING) is None


def test_deadlines_run_from_arrival(manager, clock):
    manager.register_data_subject(ANNA)
    request = manager.requests.receive("access", "anna")
    assert request.due == datetime(2027, 2, 28, 12, tzinfo=UTC)
    later = manager.requests.extend(request.request_id, "many requests at once")
    assert later.due == datetime(2027, 4, 30, 12, tzinfo=UTC)
    assert [each.request_id for each in manager.requests.open()] == [request.request_id]
    clock.forward(days=3)
    answer = manager.handle_data_subject_request("access", "anna")
    assert answer["request_id"] == request.request_id
    assert manager.requests.open() == []
    with pytest.raises(ArgumentError, match="open: none"):
        manager.requests.extend(request.request_id, "again")
