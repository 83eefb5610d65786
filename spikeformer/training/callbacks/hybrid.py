"""Hybrid training: first with rates, as an ANN, then with spikes, perhaps with a teacher."""

from __future__ import annotations

from typing import Any, cast

import lightning as L
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy
from torch import nn

from spikeformer.error_handling import ArgumentError, ConfigurationError, check_interval
from spikeformer.i18n import t
from spikeformer.models import rate_proxy
from spikeformer.training.callbacks.distillation import Teacher
from spikeformer.training.callbacks.undone import UndoneCallback
from spikeformer.training.module import SpikingModule


class HybridPhases(UndoneCallback):
    r"""Trains in two phases on the same weights.

    1. For `ann_epochs`, the network with its neurons replaced by their rate functions
       (`spikeformer.models.rate_proxy`): an ANN that computes one timestep, not T.
    2. For the rest of the training, the spiking network itself.

    With a teacher, both phases minimise
    `(1 - w) * task loss + w * tau^2 KL(teacher || student)` with softened outputs. The losses
    and metrics called `train/` are those of the phase (`train/spiking` says which); validation
    always runs the spiking network, so `best.ckpt` is the best one that spikes.

    The phase is a function of the epoch and the weights are the network's own, so that a run cut
    short in either phase resumes in it. A run that spikes already stays with spikes, however many
    epochs it resumes with.

    Args:
        ann_epochs: Epochs of the first phase; the trainer's remaining ones are the second's. A
            fraction below 1 is a share of the trainer's epochs, of which each phase then gets at
            least one, the spiking one first.
        teacher: Maps the same inputs to logits, (batch, ...) or (batch, timesteps, ...); any
            module, or a model of `transformers`. None trains without one.
        distillation_weight: w, in [0, 1].
        temperature: tau, by which both outputs are softened; above 0.
        feature_weight: Weight of the similarity of features; 0 and above.
        student_layer: Name of the layer whose output are the student's features.
        teacher_layer: Name of the teacher's; needed where `feature_weight` is above 0.

    Raises:
        ArgumentError: An argument is outside its range.

    Source: Hinton et al., 2015, arXiv:1503.02531, for logits; Tung & Mori, ICCV 2019,
    arXiv:1907.09682, for features.
    """

    def __init__(
        self,
        ann_epochs: float = 50,
        teacher: nn.Module | None = None,
        distillation_weight: float = 0.5,
        *,
        temperature: float = 2.0,
        feature_weight: float = 0.0,
        student_layer: str = "backbone",
        teacher_layer: str | None = None,
    ) -> None:
        self.ann_epochs = _check_epochs(ann_epochs)
        self.student_layer = student_layer
        check_interval("distillation_weight", distillation_weight, 0.0, 1.0)
        self._teacher = (
            None
            if teacher is None
            else Teacher(
                teacher,
                distillation_weight,
                temperature=temperature,
                feature_weight=feature_weight,
                layer=teacher_layer,
            )
        )
        self._proxy: nn.Module | None = None
        self._boundary = 0
        self._boundary_before: int | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse what cannot work, before anything is trained."""
        if stage != "fit":
            return
        limit, of_limit = trainer.max_epochs, isinstance(self.ann_epochs, float)
        self._boundary = self._rate_epochs(limit or 0)
        if limit is None or (limit < 0 and of_limit) or 0 <= limit <= self._boundary:
            epochs = {"ann_epochs": self.ann_epochs, "max_epochs": limit}
            raise ConfigurationError(t("training.no_spiking_phase", **epochs))
        if isinstance(trainer.strategy, FSDPStrategy | ModelParallelStrategy):
            raise ConfigurationError(t("training.hybrid_not_sharded"))

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Make the rate proxy now that the weights are on their device; move the teacher there."""
        module, before = cast(SpikingModule, pl_module), self._boundary_before
        if before is not None and trainer.current_epoch >= before:
            self._boundary = before
        if trainer.current_epoch < self._boundary:
            self._proxy = rate_proxy(module.net).train()
        if self._teacher is not None:
            self._teacher.watch(self._networks(module), self.student_layer, pl_module.device)
            module.task_weight = 1.0 - self._teacher.weight
            module.penalties["distillation"] = self._teacher.logits_loss
            if self._teacher.feature_weight:
                module.penalties["feature_distillation"] = self._teacher.features_loss
        self._enter(trainer, module)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Choose the network that this epoch trains."""
        self._enter(trainer, cast(SpikingModule, pl_module))

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any
    ) -> None:
        """Record the phase."""
        spiking = float(trainer.current_epoch >= self._boundary)
        pl_module.log("train/spiking", spiking, on_step=False, on_epoch=True)

    def undo(self, pl_module: L.LightningModule) -> None:
        """Leave the module without proxy and teacher."""
        module = cast(SpikingModule, pl_module)
        module.proxy, module.task_weight, self._proxy = None, 1.0, None
        for name in ("distillation", "feature_distillation"):
            module.penalties.pop(name, None)
        if self._teacher is not None:
            self._teacher.stop()

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch at which spikes begin."""
        return {"boundary": self._boundary}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up that of the run that is resumed."""
        self._boundary_before = state_dict["boundary"]

    def _rate_epochs(self, epochs: int) -> int:
        """Return how many of so many epochs the first phase has."""
        if isinstance(self.ann_epochs, int):
            return self.ann_epochs
        return max(0, min(epochs - 1, max(1, round(self.ann_epochs * epochs))))

    def _networks(self, module: SpikingModule) -> list[nn.Module]:
        return [module.net, *([] if self._proxy is None else [self._proxy])]

    def _enter(self, trainer: L.Trainer, module: SpikingModule) -> None:
        if trainer.current_epoch >= self._boundary:
            self._proxy = None
        # A function, since the proxy as a part of the module would be saved and trained twice.
        module.proxy = None if self._proxy is None else self._proxy.__call__


def _check_epochs(value: float) -> float:
    """Return `value`, or raise `ArgumentError` unless it is a count or a fraction."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if not is_count and not (isinstance(value, float) and 0.0 < value < 1.0):
        raise ArgumentError(
            "ann_epochs",
            value,
            "an integer of at least 0, or a fraction of all epochs between 0 and 1",
        )
    return value
