"""The stage that takes the running statistics of batch norms anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader

from spikeformer.data.batch import Inputs, as_floats, call, split, to_device
from spikeformer.error_handling import ConfigurationError, check_positive_int
from spikeformer.i18n import t
from spikeformer.instrument import eager
from spikeformer.pipeline.run import Run
from spikeformer.pipeline.stages.stage import Stage
from spikeformer.runs.network import RECALIBRATED
from spikeformer.validation import running_norms


class RecalibrateBatchNorm(Stage):
    """Replaces batch norms' running statistics by their average over training batches.

    While a network trains, its running statistics are an exponential average that lags behind the
    weights. Here they become the plain average over N batches of what the trained weights make of
    them, without gradients (`torch.optim.swa_utils.update_bn`):

        mean = (mean_1 + ... + mean_N) / N,    variance likewise.

    Samples are not augmented. Later stages take the new weights, `checkpoints/recalibrated.ckpt`,
    for the last ones.

    Args:
        num_batches: Training batches to average over; None takes all of an epoch.

    References:
        Wu & Johnson 2021, "Rethinking Batch in BatchNorm", arXiv:2105.07576, section 3.
    """

    name = "recalibrate_batch_norm"
    weights_made = RECALIBRATED
    config_keys = ("data", "model", "task", "checkpoint", "seed")

    def __init__(self, num_batches: int | None = None) -> None:
        self.num_batches = num_batches
        if num_batches is not None:
            check_positive_int("num_batches", num_batches)

    def check(self, run: Run) -> None:
        """Refuse a network that has nothing to recalibrate.

        Raises:
            ConfigurationError: It has no batch norm with running statistics.
        """
        if not running_norms(run.parts.module.net):
            raise ConfigurationError(t("pipeline.no_batch_norms"))

    def run(self, run: Run) -> dict[str, Any]:
        """Run training batches through the network; write `checkpoints/recalibrated.ckpt`."""
        device = run.parts.trainer.strategy.root_device
        net = run.trained().to(device)
        loader = _training_batches(run)
        batches = min(len(loader), self.num_batches or len(loader))
        on_gpu = [device] if device.type == "cuda" else []
        # Dropout and random encoders shall draw the same, whatever this process did before.
        with eager, torch.random.fork_rng(devices=on_gpu):
            torch.manual_seed(run.config.seed)
            update_bn(_inputs(islice(loader, batches), device), _Called(net))
        run.parts.module.cpu().eval()
        run.save_weights(run.files.checkpoint(RECALIBRATED))
        return {"norms": len(running_norms(net)), "batches": batches}

    def outputs(self, run: Run) -> list[Path]:
        """Return the checkpoint."""
        return [run.files.checkpoint(RECALIBRATED)]

    def summary(self, result: Mapping[str, Any]) -> str:
        """Return how many norms there are, and over how many batches they were averaged."""
        return t("pipeline.recalibrated", norms=result["norms"], batches=result["batches"])


def _training_batches(run: Run) -> DataLoader[Any]:
    """Return the training batches in the order of the first epoch, all of them for one process."""
    data = run.parts.data
    trainer, data.trainer = data.trainer, None
    try:
        return data.train_dataloader()
    finally:
        data.trainer = trainer


def _inputs(batches: Iterable[Any], device: torch.device) -> Iterator[tuple[Inputs]]:
    """Yield inputs as `update_bn` reads them: the first of a tuple, which has but that one."""
    for batch in batches:
        inputs, _ = split(batch)
        yield (as_floats(to_device(inputs, device)),)


class _Called(nn.Module):
    """A network that takes its inputs as one argument, whatever they are."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, inputs: Inputs) -> Tensor:
        output: Tensor = call(self.net, inputs)
        return output
