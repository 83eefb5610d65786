"""The stage that trains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch.distributed
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only

from spikeformer.files import set_aside
from spikeformer.i18n import t
from spikeformer.ops import keep_freed_memory
from spikeformer.pipeline.build import build_module
from spikeformer.pipeline.platform import divide_batch
from spikeformer.pipeline.ranks import announce
from spikeformer.pipeline.run import Run
from spikeformer.pipeline.stages.stage import Stage, stage_inputs
from spikeformer.runs import FitResults, RunFolder
from spikeformer.runs.network import RECALIBRATED
from spikeformer.training import is_sharded


class Fit(Stage):
    """Trains the network; goes on from `checkpoints/last.ckpt` where a run was cut short.

    A resumed run continues when nothing but the length of training or the machine has changed;
    else it starts anew, and what it had is kept in `checkpoints.old-1`.
    """

    name = "fit"
    every_rank = True
    trains = True
    config_keys = (
        "data",
        "model",
        "task",
        "loss",
        "optimizer",
        "scheduler",
        "trainer",
        "callbacks",
        "regularizer",
        "seed",
        "sparsity_weight",
        "layer_decay",
        "checkpoint",
    )

    def check(self, run: Run) -> None:
        """Divide the batch if memory is short and the configuration leaves it to the platform."""
        divide_batch(run)

    def run(self, run: Run) -> dict[str, Any]:
        """Train, and return what the last epoch reached."""
        module, trainer = run.parts.module, run.parts.trainer
        if trainer.strategy.root_device.type == "cpu":
            keep_freed_memory()
        checkpoint = self._checkpoint_to_resume(run)
        # It is of weights that are about to change.
        rank_zero_only(run.files.checkpoint(RECALIBRATED).unlink)(missing_ok=True)
        try:
            trainer.fit(module, run.parts.data, ckpt_path=checkpoint)
        except BaseException:
            # In a sweep the next trial would wait for processes that are not in its group.
            leave_process_group()
            raise
        saves = any(isinstance(c, ModelCheckpoint) for c in trainer.checkpoint_callbacks)
        if not saves or trainer.global_step == 0:  # of 0 epochs callbacks see nothing
            trainer.save_checkpoint(run.last_checkpoint)
        num_parameters = sum(p.numel() for p in module.net.parameters())
        if is_sharded(module.net):
            # Later stages work in one process, on whole weights: they load the checkpoint's.
            run.parts.module = build_module(run.config)
        module.float()  # as the data are, outside of the trainer and its precision
        if torch.distributed.is_initialized():
            # What follows runs in one process; a living group would make metrics wait for others.
            trainer.strategy.barrier()
            leave_process_group()
        history = run.parts.history.history
        results = FitResults(
            epochs=trainer.current_epoch,
            steps=trainer.global_step,
            seconds=sum(epoch["seconds"] for epoch in history),
            num_parameters=num_parameters,
            metrics={
                name: value
                for name, value in history.latest().items()
                if "/" in name and not name.startswith("grad_norm/")
            },
        )
        if trainer.is_global_zero:
            results.save(RunFolder(run.folder))
        return results.numbers()

    def outputs(self, run: Run) -> list[Path]:
        """Return the checkpoint, the table of epochs and the result, as far as they are there."""
        files = RunFolder(run.folder)
        paths = (files.checkpoint("last"), files.history, files.path / FitResults.file)
        return [path for path in paths if path.is_file()]

    def summary(self, result: Mapping[str, Any]) -> str:
        """Return epochs, time, size and how good the last epoch was."""
        done = t(
            "pipeline.fitted",
            count=result["epochs"],
            seconds=result["seconds"],
            parameters=result["num_parameters"],
        )
        parts = [done]
        if "val/accuracy" in result:
            parts.append(t("pipeline.validation_accuracy", value=result["val/accuracy"]))
        if "train/firing_rate" in result:
            parts.append(t("pipeline.firing_rate", value=result["train/firing_rate"]))
        return ", ".join(parts)

    def _checkpoint_to_resume(self, run: Run) -> Path | None:
        """Return the checkpoint of an earlier attempt with the same recipe; else set it aside."""
        before = run.previous.get(self.name)
        if before is None or not run.last_checkpoint.is_file():
            return None
        now = stage_inputs(self, run, upstream="")
        recipe = [key for key in self.config_keys if key not in ("trainer", "callbacks")]
        if all(before.inputs.get(key) == now[key] for key in recipe):
            return run.last_checkpoint
        if run.parts.trainer.is_global_zero:
            kept = set_aside(run.last_checkpoint.parent)
            announce(self.name, t("pipeline.set_aside", folder=kept))
        return None


def leave_process_group() -> None:
    """Leave the group of processes that train together, if this one is in any."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
