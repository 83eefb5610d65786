"""The LightningModule that trains a spiking network, and what all tasks share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

import lightning as L
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from spikeformer.data.batch import Inputs, as_floats, call, inputs_of, split
from spikeformer.error_handling import ArgumentError, ConfigurationError, SpikingDynamicsError
from spikeformer.i18n import t
from spikeformer.models import recompute_currents, share_batch_norms, sparsity_loss
from spikeformer.training.losses import Loss
from spikeformer.training.optimizers import (
    OptimizerFactory,
    change_settings,
    hidden_matrices,
    layer_factors,
    make_optimizer,
    settings_of,
)
from spikeformer.training.sharding import ShardedStrategy, is_sharded, shard

SchedulerFactory = Callable[..., torch.optim.lr_scheduler.LRScheduler]


class SpikingModule(L.LightningModule):
    """Trains a network whose outputs have a time axis; subclasses add a task's metrics.

    A batch is `(inputs, target)`, or a dict with an entry "labels" (`spikeformer.data.batch`).
    Inputs are a tensor, or the network's arguments as a tuple or a dict. Logged are
    `{train,val,test}/loss` and the subclass's metrics.

    Args:
        net: Maps inputs to outputs of shape (batch, timesteps, ...).
        loss: `loss(outputs, target)`, one scalar.
        optimizer: Makes an optimizer from parameter groups.
        scheduler: Makes a scheduler from an optimizer, stepped every batch; gets `total_steps`
            if it has such an argument. None keeps the learning rate.
        sparsity_weight: Factor on the attention layers' mean `sparsity_loss`; 0 leaves it out.
        layer_decay: Factor of the learning rate from each block to the one before it; 1 is the
            same rate everywhere (`spikeformer.training.optimizers.layer_factors`).
        compile: Compile the network with `net.compile()`.
        recompute: Currents that backward computes again instead of keeping them: "none", "hidden"
            or "all" (`spikeformer.models.recompute_currents`).
    """

    monitor: str = "val/loss"
    """The metric by which networks are compared."""
    monitor_mode: str = "min"
    """Whether that metric should be small ("min") or large ("max")."""

    def __init__(
        self,
        net: nn.Module,
        loss: Loss,
        optimizer: OptimizerFactory = torch.optim.AdamW,
        scheduler: SchedulerFactory | None = None,
        *,
        sparsity_weight: float = 0.0,
        layer_decay: float = 1.0,
        compile: bool = False,  # noqa: A002 - the name users know from torch
        recompute: str = "none",
    ) -> None:
        super().__init__()
        if sparsity_weight < 0:
            raise ArgumentError("sparsity_weight", sparsity_weight, "a number of at least 0")
        layer_factors(net, layer_decay)  # what does not go is refused here
        self.net = net
        self.layer_decay = layer_decay
        self.loss = loss
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.sparsity_weight = sparsity_weight
        self.penalties: dict[str, Callable[[], Tensor | None]] = {}
        """Named terms that callbacks add to the training loss."""
        self.proxy: Callable[..., Tensor] | None = None
        """Runs in the network's place in training steps; set by callbacks."""
        self.task_weight = 1.0
        """Factor on the task's own loss in training steps; set by callbacks."""
        self.metrics = nn.ModuleDict(
            {f"{stage}_metrics": nn.ModuleDict(self.make_metrics()) for stage in STAGES}
        )
        recompute_currents(net, recompute)
        if compile and recompute != "none":
            expected = '"none" with compile=True: compiled networks keep their currents'
            raise ArgumentError("recompute", recompute, expected)
        if compile:
            # In place, so that parameters keep their names in checkpoints.
            self.net.compile()

    def make_metrics(self) -> dict[str, Metric]:
        """Return fresh metrics of one stage by name; `loss` is always among them."""
        return {"loss": MeanMetric()}

    def update_metrics(
        self, metrics: Mapping[str, Metric], outputs: Tensor, target: Tensor
    ) -> None:
        """Add one batch to the metrics that `make_metrics` returned, save for the loss."""

    def task_outputs(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the outputs as loss and metrics shall see them; a task may rule some out."""
        return outputs

    def forward(self, inputs: Inputs) -> Tensor:
        """Return the network's outputs, shape (batch, timesteps, ...)."""
        outputs: Tensor = call(self.net, inputs)
        return outputs

    def predict_step(self, batch: Any, batch_idx: int = 0) -> Tensor:
        """Return outputs averaged over time."""
        return self(as_floats(inputs_of(batch))).mean(dim=1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of a batch with all penalties."""
        loss, _ = self._step(batch, "train")
        self.log("train/loss_step", loss, on_epoch=False)
        loss = self.task_weight * loss
        if self.sparsity_weight and self.proxy is None:
            loss = loss + self._sparsity_penalty()
        for name, penalty in self.penalties.items():
            if (term := penalty()) is not None:
                self.log(f"train/{name}", term, on_step=False, on_epoch=True)
                loss = loss + term
        return loss

    def _sparsity_penalty(self) -> Tensor | float:
        sparsity = sparsity_loss(self.net)
        if sparsity is None:
            return 0.0
        self.log("train/sparsity_loss", sparsity, on_step=False, on_epoch=True)
        return self.sparsity_weight * sparsity

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Add a batch to the validation metrics."""
        self._step(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Add a batch to the test metrics; return the outputs, (batch, timesteps, ...)."""
        _, outputs = self._step(batch, "test")
        return outputs

    def _step(self, batch: Any, stage: str) -> tuple[Tensor, Tensor]:
        inputs, target = split(batch)
        inputs = as_floats(inputs)
        proxy = self.proxy if stage == "train" else None
        outputs = self(inputs) if proxy is None else call(proxy, inputs)
        outputs = self.task_outputs(outputs, target)
        loss = self.loss(outputs, target)
        if stage == "train" and not torch.isfinite(loss):
            raise SpikingDynamicsError(
                t("training.loss_not_finite", loss=loss.item(), step=self.global_step)
            )
        metrics = cast(Mapping[str, Metric], self.metrics[f"{stage}_metrics"])
        with torch.no_grad():
            metrics["loss"].update(loss.detach(), weight=target.shape[0])
            self.update_metrics(metrics, outputs.detach().float(), target)
        for name, metric in metrics.items():
            self.log(f"{stage}/{name}", metric, on_step=False, on_epoch=True)
        return loss, outputs

    def configure_optimizers(self) -> Any:
        """Return the optimizer, without weight decay on biases, norms and neurons' parameters.

        It trains the network and what callbacks have added to the module for the training's sake.
        """
        if not any(p.requires_grad for p in self.net.parameters()):
            raise ArgumentError(
                "net", type(self.net).__name__, "a network with parameters to train"
            )
        factors = layer_factors(self.net, self.layer_decay)
        matrices = hidden_matrices(self.net)
        optimizer = make_optimizer(self.optimizer, self.parameters(), factors, matrices)
        if self.scheduler is None:
            return optimizer
        scheduler = self.scheduler(optimizer, **self._total_steps())
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def configure_model(self) -> None:
        """Shard the network where the strategy asks for it (`trainer=fsdp`)."""
        if isinstance(self.trainer.strategy, ShardedStrategy) and not is_sharded(self.net):
            assert self.device_mesh is not None
            share_batch_norms(self.net, self.trainer.strategy.shares_norms)
            shard(self.net, self.device_mesh["data_parallel"])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what a run that goes on otherwise needs: steps of an epoch, optimizer's settings."""
        checkpoint["optimizer_settings"] = settings_of(self.optimizer)
        checkpoint["steps_per_epoch"] = self._steps_per_epoch()
        checkpoint["sharded"] = is_sharded(self.net)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let the optimizer's settings of this run hold, and the schedule stand where it was.

        With twice the processes an epoch has half the steps; the learning rate shall be that of
        the same share of the whole training.

        Raises:
            ArgumentError: The checkpoint is of another optimizer.
        """
        if "optimizer_settings" in checkpoint:
            change_settings(checkpoint, settings_of(self.optimizer))
        before = checkpoint.get("steps_per_epoch")
        now = self._steps_per_epoch()
        if before is None or now is None or before == now:
            return
        for schedule in checkpoint["lr_schedulers"]:
            if "last_epoch" in schedule:  # torch's name for the count of steps
                schedule["last_epoch"] = round(schedule["last_epoch"] * now / before)

    def _steps_per_epoch(self) -> int | None:
        steps = self.trainer.estimated_stepping_batches
        epochs = self.trainer.max_epochs
        return round(steps / epochs) if epochs and epochs > 0 and steps < float("inf") else None

    def _total_steps(self) -> dict[str, int]:
        assert self.scheduler is not None
        if "total_steps" not in inspect.signature(self.scheduler).parameters:
            return {}
        steps = self.trainer.estimated_stepping_batches
        if steps == float("inf"):
            raise ConfigurationError(t("training.endless_schedule"))
        return {"total_steps": max(1, int(steps))}


STAGES = ("train", "val", "test")
