"""Which kills are planned, and what counts as a fault."""

from __future__ import annotations

import random
import signal
from collections import Counter

import pytest
import torch
from bench import interruption


def test_the_plan_is_random_and_repeats():
    plans = [interruption.plan(20, random.Random(seed)) for seed in (0, 0, 1)]
    assert plans[0] == plans[1] != plans[2]
    assert Counter(kill.moment for kill in plans[0]) == interruption.SHARES
    assert [kill.moment for kill in plans[0][-2:]] == ["later stages"] * 2
    assert {kill.number for kill in plans[0]} == set(interruption.SIGNALS)


@pytest.fixture
def run(tmp_path):
    run = interruption.KilledRun(tmp_path, epochs=1)
    (run.folder / "checkpoints").mkdir(parents=True)
    state = {"state_dict": {"weight": torch.ones(2)}, "global_step": 5}
    torch.save(state, run.folder / "checkpoints" / "last.ckpt")
    return run


def found(run, number, **row):
    kill = interruption.Kill(number, False, 0, "training")
    row = {"lost_steps": 0, "exit_status": -number, "message": "", **row}
    return list(interruption.faults(kill, run, row, "", trained=False, interval=10))


def test_a_kill_may_cost_an_interval(run):
    assert run.saved_step() == 5
    assert found(run, signal.SIGKILL, lost_steps=10) == []
    assert found(run, signal.SIGKILL, lost_steps=11) == ["11 steps are lost"]


def test_what_asks_may_cost_nothing_and_is_answered(run):
    good = {"exit_status": 143, "message": "stopped by SIGTERM; saved"}
    assert found(run, signal.SIGTERM, **good) == []
    assert found(run, signal.SIGTERM, **good, lost_steps=1) == ["1 steps are lost"]
    assert found(run, signal.SIGTERM) == ["exit status -15", "no message"]


def test_a_checkpoint_must_load_and_be_finite(run):
    last = run.folder / "checkpoints" / "last.ckpt"
    content = last.read_bytes()
    last.write_bytes(content[: len(content) // 2])
    assert "last.ckpt is corrupt" in found(run, signal.SIGKILL)[0]
    torch.save({"state_dict": {"weight": torch.tensor([torch.nan])}}, last)
    assert "weight is not finite" in found(run, signal.SIGKILL)[0]


def test_what_a_killed_process_was_writing_is_no_checkpoint(run):
    (run.folder / "checkpoints" / ".4711.last.ckpt").write_bytes(b"half")
    assert found(run, signal.SIGKILL) == []
