"""What the command line sets before it imports anything."""

from __future__ import annotations

import os

import pytest

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
