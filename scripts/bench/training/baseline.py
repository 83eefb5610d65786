r"""SpikingJelly's Spikformer on the batches of one of our recipes, in their order.

python -m bench.training.baseline --width 48 --heads 4 --depth 1 --patch 16 --lr 2e-3 \
    --result FILE experiment=fsdd_cpu data.path=/data/fsdd

Our trainer and data module run as in `train.py`; each batch, with the learning rate that the
recipe's schedule gives it, goes to the baseline's process, and the next one waits until it is done.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Listener
from pathlib import Path
from typing import Any

import lightning as L
import torch
from omegaconf import DictConfig
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from bench.client import SCRIPTS, interpreter
from spikeformer.cli import compose
from spikeformer.config import instantiate
from spikeformer.data import SpikingDataModule
from spikeformer.training import cosine_with_warmup
from spikeformer.training.callbacks import EpochSeed
from spikeformer.training.history import HistoryRecorder

# glibc keeps what a step frees, as `keep_freed_memory` has it do for us.
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
}

SIZES = ("width", "heads", "depth", "patch")


class Remote(L.LightningModule):
    """Hands every batch to the baseline and waits for it.

    Args:
        call: `call(method, *arguments)` of the baseline's session.
        lr: Peak of the learning rate.
        scheduler: The recipe's.
    """

    def __init__(self, call: Callable[..., Any], lr: float, scheduler: Any) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.call, self.lr, self.scheduler = call, lr, scheduler
        self.right = self.total = 0

    def configure_optimizers(self) -> Any:
        """Return a schedule on a parameter that nobody trains: it only yields learning rates."""
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=self.lr)
        steps = int(self.trainer.estimated_stepping_batches)
        return [optimizer], [self.scheduler(optimizer, total_steps=steps)]

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Let the baseline take a step."""
        inputs, target = batch
        schedule = self.lr_schedulers()
        self.call("train", arrays(inputs), target.numpy(), schedule.get_last_lr()[0])
        self.optimizers().step()  # nothing to do, but schedules want to come after it
        schedule.step()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Nothing: the weights after the last epoch count."""

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Count the baseline's correct predictions."""
        inputs, target = batch
        self.right += int((self.call("test", arrays(inputs)) == target.numpy()).sum())
        self.total += len(target)


def arrays(inputs: Tensor | dict[str, Tensor]) -> dict[str, Any]:
    """Return a batch's inputs by name, as arrays."""
    named = inputs if isinstance(inputs, dict) else {"images": inputs}
    return {name: tensor.numpy() for name, tensor in named.items()}


def network(config: DictConfig, sizes: dict[str, int]) -> dict[str, Any]:
    """Return what the baseline has to build for a recipe's data and timesteps."""
    keys = ("num_classes", "in_channels", "image_size", "vocab_size", "max_length")
    data = {key: config.data[key] for key in keys if key in config.data}
    if "image_size" in data:
        data["image_size"] = list(data["image_size"])
    return {**data, **sizes, "timesteps": config.timesteps}


def train(call: Callable[..., Any], config: DictConfig, sizes: dict[str, int], lr: float) -> dict:
    """Train and test the baseline; return what `tables.py` keeps of a run."""
    L.seed_everything(config.seed, verbose=False)
    parameters = call(
        "prepare",
        {
            "threads": torch.get_num_threads(),
            "seed": config.seed,
            "network": network(config, sizes),
            "weight_decay": config.optimizer.weight_decay,
            "label_smoothing": config.loss.label_smoothing,
            "gradient_clip_val": config.trainer.gradient_clip_val,
        },
    )
    scheduler = instantiate(config.scheduler, (LRScheduler, cosine_with_warmup))
    remote, recorder = Remote(call, lr, scheduler), HistoryRecorder()
    data = instantiate(config.data, SpikingDataModule)
    trainer = L.Trainer(
        max_epochs=config.trainer.max_epochs,
        limit_train_batches=config.trainer.limit_train_batches,
        limit_test_batches=config.trainer.limit_test_batches,
        limit_val_batches=0,
        accelerator="cpu",
        devices=1,
        callbacks=[EpochSeed(config.seed), recorder],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    trainer.fit(remote, data)
    trainer.test(remote, data, verbose=False)
    epochs = [epoch["seconds"] for epoch in recorder.history]
    return {
        "epochs": len(epochs),
        "steps": trainer.global_step,
        "seconds": sum(epochs),
        "epoch_seconds": epochs,
        "rate_epochs": 0,
        "num_parameters": parameters,
        "train_samples": len(data.splits.train),
        "accuracy": remote.right / remote.total,
    }


@contextmanager
def session() -> Iterator[Callable[..., Any]]:
    """Start the baseline's process; yield what calls a method of its session."""
    with tempfile.TemporaryDirectory() as folder, Listener(f"{folder}/baseline") as listener:
        baseline = subprocess.Popen(
            [interpreter("spikingjelly"), "-m", "bench.training.spikformer", listener.address],
            cwd=SCRIPTS,
            env={**os.environ, **MALLOC},
        )
        with listener.accept() as connection:

            def call(method: str, *given: Any) -> Any:
                connection.send((method, given))
                return connection.recv()

            yield call
            connection.send(None)
        baseline.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for size in SIZES:
        parser.add_argument(f"--{size}", type=int, required=True)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--result", required=True, help="file for the numbers, as JSON")
    parser.add_argument("overrides", nargs="*", help="arguments of train.py")
    arguments = parser.parse_args()
    sizes = {size: getattr(arguments, size) for size in SIZES}
    with session() as call:
        found = train(call, compose(*arguments.overrides), sizes, arguments.lr)
    Path(arguments.result).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
