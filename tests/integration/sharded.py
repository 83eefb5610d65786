"""Started by test_sharded: trains one run with several numbers of processes, one after the other.

python -m tests.integration.sharded FOLDER
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
from pathlib import Path

import torch
from lightning.pytorch.utilities import rank_zero_only

from spikeformer.cli import compose
from spikeformer.pipeline import run_pipeline
from tests.runs import SMALL

COMMON = (
    *SMALL,
    "ops=reference",
    "data.max_shift=0",  # processes shift their images by chances of their own
    "scheduler=constant",
    "trainer.accelerator=cpu",
    "trainer.precision=64-true",  # a spike that rounding flips would move every gradient behind it
    "logger=none",
    "pipeline.stages=[{_target_: spikeformer.pipeline.Fit},{_target_: spikeformer.pipeline.Test}]",
)


def fit(rank: int, port: int, folder: Path, overrides: tuple[str, ...]) -> None:
    """Be one process of a run."""
    os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    rank_zero_only.rank = rank
    run_pipeline(compose(*COMMON, *overrides), folder)


def launch(folder: Path, num_processes: int, *overrides: str) -> None:
    """Train with so many processes; fail if one of them fails."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    devices = (f"trainer.devices={num_processes}", f"data.batch_size={128 // num_processes}")
    fork = multiprocessing.get_context("fork")
    ranks = [
        fork.Process(target=fit, args=(rank, port, folder, (*devices, *overrides)))
        for rank in range(num_processes)
    ]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join()
    assert not any(rank.exitcode for rank in ranks), [rank.exitcode for rank in ranks]


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    launch(folder / "alone", 1, "trainer=cpu", "trainer.max_epochs=2")
    launch(folder / "sharded", 2, "trainer=fsdp", "trainer.max_epochs=1")
    launch(folder / "sharded", 2, "trainer=fsdp", "trainer.max_epochs=2")
