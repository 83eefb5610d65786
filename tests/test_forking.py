from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import warnings

import pytest

from tests.forking import Forked, forked

logger = logging.getLogger(__name__)
logger.addHandler(logging.StreamHandler())
seen = "before the tests"


def speak(*words):
    print(*words, os.environ.get("A_VARIABLE"), seen)
    logger.warning("beware")
    warnings.warn("no error", stacklevel=1)


def end(how):
    if how == "signal":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "error":
        raise ValueError("it has a fault")
    sys.exit(3)


def test_a_forked_function_prints_and_knows_nothing_of_the_tests(monkeypatch, capfd):
    monkeypatch.setattr(sys.modules[__name__], "seen", "in a test")
    done = Forked(speak, "a", 1, A_VARIABLE="x").communicate()
    assert done.returncode == 0
    assert done.stdout == "a 1 x before the tests\n"
    assert done.stderr.startswith("beware\n")
    assert "UserWarning: no error" in done.stderr
    assert capfd.readouterr() == ("", "")
    assert "A_VARIABLE" not in os.environ


def leave_a_thread():
    threading.Thread(target=time.sleep, args=(1000,)).start()


def test_a_forked_function_that_does_not_end():
    """As of an interpreter, its threads are waited for, but not for ever."""
    process = Forked(leave_a_thread)
    with pytest.raises(AssertionError, match=r"takes longer than 0\.5 s"):
        process.communicate(timeout=0.5)
    assert process.poll() == -signal.SIGKILL


@pytest.mark.parametrize(("how", "status"), [("signal", -9), ("error", 1), ("status", 3)])
def test_a_forked_function_that_fails(how, status):
    assert Forked(end, how).communicate().returncode == status
    with pytest.raises(AssertionError, match=f"status {status}"):
        forked(end, how)
