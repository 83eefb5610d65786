"""The environment that a run had, on the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spikeformer.i18n import use_locale
from spikeformer.reporting.sections.environment import environment
from spikeformer.runs import RunResults

EMPTY = RunResults(Path("run"), "run")


def facts(**found):
    return dict(environment(replace(EMPTY, environment=found)).values["facts"])


def test_environment_is_left_out_without_one():
    assert environment(EMPTY) is None


def test_environment_puts_known_facts_first_and_keeps_others():
    found = facts(weather="rain", seed=1, python="3.11.9", my_fact=2)
    assert list(found.values()) == ["3.11.9", "1", "rain", "2"]
    names = list(found)
    assert (names[0], names[-1]) == ("Python", "my fact")


@pytest.mark.parametrize(
    ("git", "shown"),
    [
        ({"commit": "0123456789abcdef", "dirty": False}, "0123456789ab"),
        ({"commit": "0123456789abcdef", "dirty": True}, "0123456789ab, with uncommitted changes"),
    ],
)
def test_environment_says_whether_the_commit_is_the_whole_truth(git, shown):
    assert facts(git=git)["Git"] == shown


def test_environment_writes_numbers_in_the_language():
    assert "7.76 GiB" in facts(memory_gib=7.76).values()
    with use_locale("de"):
        assert "7,76 GiB" in facts(memory_gib=7.76).values()
    assert facts(gpu=None) == {"GPU": "none"}


def test_environment_sorts_packages_and_keeps_the_command():
    found = {"packages": {"torch": "2.13", "numpy": "2.3"}, "command": "python train.py"}
    values = environment(replace(EMPTY, environment=found)).values
    assert values["packages"] == [("numpy", "2.3"), ("torch", "2.13")]
    assert (values["command"], values["facts"]) == ("python train.py", [])
