from __future__ import annotations

import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeformer.ops._threads import run_tasks

MUCH = 1 << 30


@pytest.fixture(autouse=True)
def restore_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@given(st.integers(0, 20), st.integers(1, 4))
def test_every_task_runs_once(num_tasks, threads):
    torch.set_num_threads(threads)
    ranges = []
    run_tasks(lambda first, last: ranges.append((first, last)), num_tasks, MUCH)
    assert sorted(task for pair in ranges for task in range(*pair)) == list(range(num_tasks))
    assert len(ranges) <= max(1, 4 * threads)


def test_threads_follow_torch():
    for threads in (1, 3):
        torch.set_num_threads(threads)
        together = threading.Barrier(threads, timeout=30)
        # A barrier opens only if all of them run at the same time.
        run_tasks(lambda first, last, wait=together.wait: wait(), 3 * threads, MUCH)


def test_little_work_stays_on_the_calling_thread():
    torch.set_num_threads(4)
    callers = []
    run_tasks(lambda first, last: callers.append(threading.get_ident()), 100, num_elements=1000)
    assert callers == [threading.get_ident()]


def test_errors_of_workers_are_raised():
    torch.set_num_threads(2)

    def fail(first, last):
        if first > 0:
            raise ValueError("worker")

    with pytest.raises(ValueError, match="worker"):
        run_tasks(fail, 10, MUCH)
