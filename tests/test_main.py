"""What the command line sets before it imports anything."""

from __future__ import annotations

import gc
import os

import pytest

from spikeformer import importing
from spikeformer.__main__ import SPINS, main, share_cores


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"GOMP_SPINCOUNT": SPINS}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
    ],
)
def test_idle_threads_sleep_unless_the_user_says_otherwise(monkeypatch, given, expected):
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    share_cores()
    assert {name: os.environ[name] for name in names if name in os.environ} == expected


def test_it_does_so_before_the_command_line_is_imported(monkeypatch):
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    found = []
    monkeypatch.setattr(
        "spikeformer.cli.main", lambda _: found.append(os.environ["GOMP_SPINCOUNT"])
    )
    main("train")
    assert found == [SPINS]


def fail_while_importing():
    with importing():
        with importing():
            pass
        raise ImportError(gc.isenabled())


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_pauses_for_imports_and_is_as_before_afterwards(enabled):
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(ImportError, match="False"):
            fail_while_importing()
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()
