"""Runs a kernel's tasks on as many threads as torch would use."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

# Below this many elements, waking a thread costs more than it saves.
_MIN_ELEMENTS_PER_THREAD = 1 << 17

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
    wanted = 1 + num_elements // _MIN_ELEMENTS_PER_THREAD
    threads = min(torch.get_num_threads(), num_tasks, wanted)
    if threads <= 1:
        body(0, num_tasks)
        return
    bounds = [num_tasks * i // threads for i in range(threads + 1)]
    pool = _pool(threads - 1)
    pending = [pool.submit(body, *bounds[i : i + 2]) for i in range(1, threads)]
    body(0, bounds[1])
    for future in pending:
        future.result()


def _pool(workers: int) -> ThreadPoolExecutor:
    key = (os.getpid(), workers)
    if key not in _pools:
        _pools[key] = ThreadPoolExecutor(workers, thread_name_prefix="spikeformer-ops")
    return _pools[key]
