from __future__ import annotations

import ctypes
import multiprocessing
import os

import numpy as np
import pytest
import torch
from numba import njit

from spikeformer.ops import openmp
from spikeformer.ops.threads import run_tasks

MUCH = 1 << 30


@pytest.fixture(autouse=True)
def restore_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=["openmp", "pool"])
def threads_of(request, monkeypatch):
    """Both ways to get threads, where torch's OpenMP can be reached."""
    if request.param == "pool":
        monkeypatch.setattr(openmp, "available", lambda: False)
    elif not openmp.available():
        pytest.skip("torch's OpenMP cannot be reached here")
    return request.param


@njit(nogil=True)
def count(first, last, step, times, ranges):
    # A kernel like ours: scratch memory of its own, arrays and a tuple of numbers as arguments.
    scratch = np.ones(16, np.int64)
    for task in range(first, last):
        times[task] += step[0] * scratch[task % 16]
    ranges[first] = last


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
@pytest.mark.parametrize("num_tasks", [0, 1, 2, 7, 100])
def test_every_task_runs_once(num_tasks, threads, threads_of):
    torch.set_num_threads(threads)
    times, ranges = np.zeros(num_tasks, np.int64), np.zeros(num_tasks + 1, np.int64)
    run_tasks(count, ((3, 4), times, ranges), num_tasks, MUCH)
    assert (times == 3).all()
    assert np.count_nonzero(ranges) <= 4 * threads
    if num_tasks >= threads > 1:
        assert np.count_nonzero(ranges) >= threads


def test_little_work_is_not_divided():
    torch.set_num_threads(4)
    times, ranges = np.zeros(100, np.int64), np.zeros(101, np.int64)
    run_tasks(count, ((1, 1), times, ranges), 100, num_elements=1000)
    assert ranges[0] == 100


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_follow_torch(threads, threads_of, monkeypatch):
    given = []
    monkeypatch.setattr(openmp, "run_chunks", lambda *arguments: given.append(arguments[-1]))
    run_in_pool = "spikeformer.ops.threads._run_in_pool"
    monkeypatch.setattr(run_in_pool, lambda *arguments: given.append(arguments[-1]))
    torch.set_num_threads(threads)
    run_tasks(count, ((1, 1), np.zeros(100, np.int64), np.zeros(101, np.int64)), 100, MUCH)
    assert given == [threads]


pthread_self = ctypes.CDLL(None).pthread_self
pthread_self.restype, pthread_self.argtypes = ctypes.c_uint64, []
usleep = ctypes.CDLL(None).usleep
usleep.restype, usleep.argtypes = ctypes.c_int, [ctypes.c_uint32]


@njit(nogil=True)
def meet(first, last, threads):
    """Wait for a task on another thread; a busy machine may start it late."""
    own = threads[first] = pthread_self()
    for _ in range(30_000):
        if (threads != own).any() and (threads[threads != own] != 0).any():
            return
        usleep(1000)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_tasks_run_on_several_threads(threads_of):
    torch.set_num_threads(2)
    seen = np.zeros(8, np.uint64)
    run_tasks(meet, (seen,), 8, MUCH)
    assert len(set(seen.tolist()) - {0}) == 2


def test_other_types_of_arguments_are_compiled_anew(threads_of):
    torch.set_num_threads(2)
    for dtype in (np.int64, np.float32):
        times, ranges = np.zeros(9, dtype), np.zeros(10, np.int64)
        run_tasks(count, ((2, 1), times, ranges), 9, MUCH)
        assert (times == 2).all()


def in_child(queue):
    torch.set_num_threads(2)
    times, ranges = np.zeros(50, np.int64), np.zeros(51, np.int64)
    run_tasks(count, ((1, 1), times, ranges), 50, MUCH)
    queue.put((bool((times == 1).all()), openmp.available()))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    torch.set_num_threads(2)
    times, ranges = np.zeros(50, np.int64), np.zeros(51, np.int64)
    run_tasks(count, ((1, 1), times, ranges), 50, MUCH)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=60) == (True, False)
    child.join(60)
