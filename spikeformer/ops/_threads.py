"""Runs a kernel's tasks on as many threads as torch would use."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

# Below this many elements, waking a thread costs more than it saves.
_MIN_ELEMENTS_PER_CHUNK = 1 << 17

# Threads take chunks as they get on: after an operator of torch its own threads spin for a while,
# and the one that shares a core with such a thread is slower than the others.
_CHUNKS_PER_THREAD = 4

# By process: a forked child inherits the table but not the threads behind it.
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def run_tasks(body: Callable[[int, int], None], num_tasks: int, num_elements: int) -> None:
    """Call `body(first, last)` on ranges that cover `num_tasks` tasks, and wait for all.

    Threads follow `torch.get_num_threads`. How many there are must not change what a task
    computes, so that results do not depend on it; `body` should release the GIL.

    Args:
        body: Runs the tasks from first up to, not including, last.
        num_tasks: Number of independent tasks.
        num_elements: Number of elements they touch together, the measure of the work.

    Example:
        >>> done = []
        >>> run_tasks(lambda first, last: done.extend(range(first, last)), 3, num_elements=3)
        >>> done
        [0, 1, 2]
    """
    most = min(num_tasks, 1 + num_elements // _MIN_ELEMENTS_PER_CHUNK)
    threads = min(torch.get_num_threads(), most)
    if threads <= 1:
        body(0, num_tasks)
        return
    chunks = min(most, _CHUNKS_PER_THREAD * threads)
    # One iterator for all: `next` on it is atomic, so no chunk is taken twice.
    ranges = iter([(num_tasks * i // chunks, num_tasks * (i + 1) // chunks) for i in range(chunks)])

    def work() -> None:
        for first, last in ranges:
            body(first, last)

    pool = _pool(threads - 1)
    pending = [pool.submit(work) for _ in range(threads - 1)]
    work()
    for future in pending:
        future.result()


def _pool(workers: int) -> ThreadPoolExecutor:
    key = (os.getpid(), workers)
    if key not in _pools:
        _pools[key] = ThreadPoolExecutor(workers, thread_name_prefix="spikeformer-ops")
    return _pools[key]
