"""Joining and leaving a group of processes, and plain words when one of them is gone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from spikeformer.error_handling import ArgumentError, ProcessGroupError, check_positive_int

BACKENDS = ("auto", "gloo", "nccl")
DEFAULT_ADDRESS = "127.0.0.1"
DEFAULT_PORT = "29500"


def join_group(
    rank: int, world_size: int, *, backend: str, timeout: float, init_method: str | None
) -> bool:
    """Join the process group, waiting for all others to do so.

    Args:
        rank: Number of this process, from 0.
        world_size: Number of processes.
        backend: "gloo" or "nccl".
        timeout: Seconds after which waiting for another process is an error.
        init_method: Where processes meet, as `tcp://host:port` or `file:///shared/path`; None
            takes `MASTER_ADDR` and `MASTER_PORT` from the environment, else port 29500 here.

    Returns:
        True if the group was made here, False if the process was in one already.

    Raises:
        ArgumentError: The rank is outside the group, or the process is in another group.
        ProcessGroupError: Not everybody came in time.
    """
    check_positive_int("world_size", world_size)
    if not 0 <= rank < world_size:
        raise ArgumentError("rank", rank, f"from 0 to world_size - 1 = {world_size - 1}")
    if dist.is_initialized():
        group = dist.get_rank(), dist.get_world_size()
        if group != (rank, world_size):
            expected = f"those of the group that this process is in, {group}"
            raise ArgumentError("rank, world_size", (rank, world_size), expected)
        return False
    if init_method is None:
        os.environ.setdefault("MASTER_ADDR", DEFAULT_ADDRESS)
        os.environ.setdefault("MASTER_PORT", DEFAULT_PORT)
    # NCCL then raises when time is up, where it would otherwise end the whole process.
    os.environ.setdefault("TORCH_NCCL_BLOCKING_WAIT", "1")
    limit = timedelta(seconds=timeout)
    with explained(rank, world_size, timeout, "meeting the others"):
        dist.init_process_group(backend, init_method, limit, rank=rank, world_size=world_size)
        if backend == "gloo":
            dist.monitored_barrier(timeout=limit)  # it can tell who is missing
    return True


def leave_group(*, wait: bool) -> None:
    """Leave the group; with `wait` only when all others are ready to leave as well."""
    try:
        if wait:
            dist.barrier()
    finally:
        dist.destroy_process_group()


@contextmanager
def explained(rank: int, world_size: int, timeout: float, doing: str) -> Iterator[None]:
    """Turn what the backends raise when a process is gone into a `ProcessGroupError`."""
    try:
        yield
    except RuntimeError as error:
        if not _is_about_others(error):
            raise
        raise ProcessGroupError(
            f"Process {rank} of {world_size} lost another one while {doing}: "
            f"{str(error).splitlines()[0]} A process has died, or kept the others waiting "
            f"for more than timeout={timeout:g} s. End all of them, look at the first "
            "error among their messages, and start again from the last checkpoint."
        ) from error


def _is_about_others(error: RuntimeError) -> bool:
    words = ("gloo", "nccl", "rank", "connection", "timed out", "timeout", "broken pipe")
    return isinstance(error, dist.DistError) or any(word in str(error).lower() for word in words)


def choose_backend(backend: str) -> str:
    """Return "nccl" where each process may have a GPU of its own, else "gloo", for "auto"."""
    if backend != "auto":
        return backend
    return "nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"


def choose_device(backend: str, rank: int) -> torch.device:
    """Return the device of a process: one GPU each for NCCL, the CPU for gloo.

    Raises:
        ArgumentError: There are fewer GPUs than processes on this machine.
    """
    if backend != "nccl":
        return torch.device("cpu")
    local = int(os.environ.get("LOCAL_RANK", rank))
    if local >= torch.cuda.device_count():
        expected = f"one that has a GPU of its own, of which there are {torch.cuda.device_count()}"
        raise ArgumentError(
            "rank", rank, expected, 'Start fewer processes, or use backend="gloo" on CPUs.'
        )
    device = torch.device("cuda", local)
    torch.cuda.set_device(device)
    return device
