"""Trains with several numbers of processes, sharded and not, for test_processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import socket
from multiprocessing.process import BaseProcess
from pathlib import Path

import lightning as L
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig
from torch.distributed.tensor import DTensor

from spikeformer.cli import compose
from spikeformer.pipeline import run_pipeline
from tests.commands import SMALL

COMMON = (
    *SMALL,
    "ops=reference",
    "data.max_shift=0",  # processes shift their images by chances of their own
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1",
    "trainer.limit_train_batches=4",
    "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=1",
    "logger=none",
    "callbacks=checkpoint",
    "+callbacks.witness={_target_: tests.integration.processes.Witness, folder: ???}",
    "trusted_packages=[tests]",
    "pipeline.stages=[{_target_: spikeformer.pipeline.Fit},{_target_: spikeformer.pipeline.Test}]",
)


class Witness(L.Callback):
    """Writes down what each process knows after an epoch."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        shards = [p.to_local() for p in pl_module.parameters() if isinstance(p, DTensor)]
        self.weights = sum(shard.numel() for shard in shards)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        name = f"epoch{trainer.current_epoch}-rank{trainer.global_rank}.json"
        (self.folder / name).write_text(json.dumps({"metrics": metrics, "weights": self.weights}))


def fit(rank: int, port: int, folder: Path, config: DictConfig) -> None:
    """Be one process of a run."""
    os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    rank_zero_only.rank = rank
    run_pipeline(config, folder)


def launch(
    folder: Path, config: DictConfig, processes: int, epochs: int, batch_size: int = 64
) -> list[BaseProcess]:
    """Start a run of so many processes."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = config.copy()
    config.trainer.devices, config.trainer.max_epochs = processes, epochs
    config.data.batch_size, config.callbacks.witness.folder = batch_size, str(folder)
    fork = multiprocessing.get_context("fork")
    ranks: list[BaseProcess] = [
        fork.Process(target=fit, args=(rank, port, folder, config)) for rank in range(processes)
    ]
    for rank in ranks:
        rank.start()
    return ranks


def join(*ranks: BaseProcess) -> None:
    """Wait for processes, none of which may fail."""
    for rank in ranks:
        rank.join()
    assert not any(rank.exitcode for rank in ranks), [rank.exitcode for rank in ranks]


def train_all(folder: Path) -> None:
    """Train each kind of run in a folder of its own below this one, then resume some."""
    one, sharded = (
        compose(*COMMON, "scheduler=constant", f"trainer={trainer}") for trainer in ("cpu", "fsdp")
    )
    parallel = compose(*COMMON, "trainer=ddp")
    join(
        *launch(folder / "alone", one, 1, epochs=2, batch_size=128),
        *launch(folder / "whole", sharded, 2, epochs=2),
        *launch(folder / "resumed", sharded, 2, epochs=1),
        *launch(folder / "changing", parallel, 2, epochs=1),
    )
    for name in ("fewer", "unsharded"):
        shutil.copytree(folder / "resumed", folder / name)
    join(
        *launch(folder / "resumed", sharded, 2, epochs=2),
        *launch(folder / "fewer", sharded, 1, epochs=2),
        *launch(folder / "unsharded", one, 1, epochs=2),
        *launch(folder / "changing", parallel, 1, epochs=2),
    )
    join(*launch(folder / "changing", parallel, 2, epochs=3))
