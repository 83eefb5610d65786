"""Records of three people, and a clock that a test sets."""

from __future__ import annotations

import pytest

from tests.compliance.records import Clock, agreed, make


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def folder(tmp_path, clock):
    """Anna agreed, Bob withdrew, Carl was erased."""
    folder = tmp_path / "records"
    manager = make(folder, clock=clock)
    for name in ("anna", "bob", "carl"):
        agreed(manager, name)
    manager.withdraw_consent("bob")
    manager.handle_data_subject_request("erasure", "carl")
    return folder


@pytest.fixture
def manager(tmp_path, clock):
    return make(tmp_path, clock=clock)


@pytest.fixture
def audited(tmp_path, clock):
    """Anna agreed, and data are kept for a year."""
    manager = make(tmp_path / "records", clock=clock)
    agreed(manager, "anna")
    manager.set_retention(365)
    return manager
