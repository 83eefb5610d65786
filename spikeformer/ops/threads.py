"""Runs a kernel's tasks on as many threads as torch would use."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from spikeformer.ops import openmp

# Below this many elements, a second thread costs more than it saves.
_MIN_ELEMENTS_PER_CHUNK = 1 << 15

# Threads take chunks as they get on: one that shares its core is slower than the others.
_CHUNKS_PER_THREAD = 4

# By process: a forked child inherits the table but not the threads behind it.
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def run_tasks(kernel: Any, arguments: tuple[Any, ...], num_tasks: int, num_elements: int) -> None:
    """Call `kernel(first, last, *arguments)` on ranges that cover `num_tasks`; wait for all.

    Threads follow `torch.get_num_threads`, and are torch's own where its OpenMP can be reached.
    How many there are must not change what a task computes, so that results do not depend on it.

    Args:
        kernel: Compiled by `numba.njit(nogil=True)`; runs the tasks from first up to, not
            including, last. All that it may raise is `MemoryError`.
        arguments: Its other arguments: arrays, numbers, and tuples of numbers.
        num_tasks: Number of independent tasks.
        num_elements: Number of elements they touch together, the measure of the work.

    Example:
        >>> import numpy as np
        >>> from numba import njit
        >>> @njit(nogil=True)
        ... def fill(first, last, numbers):
        ...     numbers[first:last] = 1.0
        >>> numbers = np.zeros(3)
        >>> run_tasks(fill, (numbers,), 3, num_elements=3)
        >>> numbers.tolist()
        [1.0, 1.0, 1.0]
    """
    on_torch = openmp.available()
    address = openmp.kernel_address(kernel, arguments)
    threads = torch.get_num_threads()
    most = min(num_tasks, 1 + num_elements // _MIN_ELEMENTS_PER_CHUNK)
    num_chunks = min(most, _CHUNKS_PER_THREAD * threads)
    if min(threads, num_chunks) <= 1:
        kernel(0, num_tasks, *arguments)
    elif on_torch:
        # All of torch's threads, needed or not: a team of another size would be a new one.
        openmp.run_chunks(address, arguments, num_tasks, num_chunks, threads)
    else:
        _run_in_pool(kernel, arguments, num_tasks, min(threads, num_chunks))


def _run_in_pool(kernel: Any, arguments: tuple[Any, ...], num_tasks: int, threads: int) -> None:
    key = (os.getpid(), threads - 1)
    if key not in _pools:
        _pools[key] = ThreadPoolExecutor(threads - 1, thread_name_prefix="spikeformer-ops")
    bounds = [num_tasks * i // threads for i in range(threads + 1)]
    pending = [
        _pools[key].submit(kernel, *bounds[i : i + 2], *arguments) for i in range(1, threads)
    ]
    kernel(*bounds[:2], *arguments)
    for future in pending:
        future.result()
