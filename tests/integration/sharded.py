"""Started by test_sharded: trains with several numbers of processes, sharded and not.

python -m tests.integration.sharded FOLDER
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import socket
import sys
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch.distributed.tensor import DTensor

from spikeformer.cli import compose
from spikeformer.pipeline import run_pipeline
from tests.runs import SMALL

COMMON = (
    *SMALL,
    "ops=reference",
    "data.max_shift=0",  # processes shift their images by chances of their own
    "scheduler=constant",
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1",
    "trainer.limit_train_batches=4",
    "logger=none",
    "callbacks=checkpoint",
    "trusted_packages=[tests]",
    "pipeline.stages=[{_target_: spikeformer.pipeline.Fit},{_target_: spikeformer.pipeline.Test}]",
)


class Witness(L.Callback):
    """Writes down what each process knows after an epoch."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        shards = [p.to_local() for p in pl_module.net.parameters() if isinstance(p, DTensor)]
        name = f"epoch{trainer.current_epoch}-rank{trainer.global_rank}.json"
        known = {"metrics": metrics, "weights": sum(map(torch.numel, shards))}
        (self.folder / name).write_text(json.dumps(known))


def fit(rank: int, port: int, folder: Path, overrides: tuple[str, ...]) -> None:
    """Be one process of a run."""
    os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    rank_zero_only.rank = rank
    witness = (
        f"+callbacks.witness={{_target_: tests.integration.sharded.Witness, folder: {folder}}}"
    )
    run_pipeline(compose(*COMMON, witness, *overrides), folder)


def launch(folder: Path, processes: int, *overrides: str) -> list[multiprocessing.Process]:
    """Start a run of so many processes."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    devices = (f"trainer.devices={processes}", f"data.batch_size={128 // processes}")
    fork = multiprocessing.get_context("fork")
    ranks = [
        fork.Process(target=fit, args=(rank, port, folder, (*devices, *overrides)))
        for rank in range(processes)
    ]
    for rank in ranks:
        rank.start()
    return ranks


def join(*ranks: multiprocessing.Process) -> None:
    """Wait for processes, none of which may fail."""
    for rank in ranks:
        rank.join()
    assert not any(rank.exitcode for rank in ranks), [rank.exitcode for rank in ranks]


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    two = ("trainer=fsdp", "trainer.max_epochs=2")
    one = ("trainer.max_epochs=2", "data.batch_size=64")
    join(
        *launch(folder / "alone", 1, "trainer=cpu", "trainer.max_epochs=2"),
        *launch(folder / "whole", 2, *two),
        *launch(folder / "resumed", 2, "trainer=fsdp", "trainer.max_epochs=1"),
    )
    shutil.copytree(folder / "resumed", folder / "unsharded")
    shutil.copytree(folder / "resumed", folder / "fewer")
    join(
        *launch(folder / "resumed", 2, *two),
        *launch(folder / "fewer", 1, *two, "data.batch_size=64"),
        *launch(
            folder / "unsharded", 1, "trainer=cpu", "trainer.max_epochs=2", "data.batch_size=64"
        ),
    )
