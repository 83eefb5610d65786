"""The callbacks of the `regularizer` group, against the forgetting of earlier tasks."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import lightning as L
import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from spikeformer.error_handling import ConfigurationError, check_positive_int
from spikeformer.i18n import t
from spikeformer.research.ewc import ElasticWeightConsolidation
from spikeformer.research.metaplasticity import MetaplasticSynapses
from spikeformer.research.protocol import task_sequence
from spikeformer.training import SpikingModule
from spikeformer.training.callbacks.undone import UndoneCallback

NAME = "ewc"


class EwcRegularizer(UndoneCallback):
    """Adds `ElasticWeightConsolidation` to the training of a sequence of tasks.

    When a task has ended, the importance of each parameter is estimated on its training samples;
    it is part of every checkpoint.

    Args:
        strength: lambda, the weight of the penalty; at least 0.
        decay: gamma, how much of the importance of earlier tasks a new one leaves, in [0, 1].
        max_samples: Training samples of a task from which importance is estimated; None takes all.
    """

    def __init__(
        self, strength: float = 1000.0, decay: float = 1.0, max_samples: int | None = None
    ) -> None:
        self.strength, self.decay = strength, decay
        if max_samples is not None:
            check_positive_int("max_samples", max_samples)
        self.max_samples = max_samples
        self.ewc: ElasticWeightConsolidation | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Hand the penalty to the module, which adds it to its loss."""
        if stage != "fit":
            return
        task_sequence(trainer, "regularizer=ewc")
        module = cast(SpikingModule, pl_module)
        self.ewc = ElasticWeightConsolidation(module.net, self.strength, self.decay)
        module.penalties[NAME] = partial(self.ewc.penalty, module.net)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Move the state to the network's device; a resumed epoch has no other start."""
        assert self.ewc is not None
        self.ewc.to(pl_module.device)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take in the task before, if this epoch begins another."""
        data = task_sequence(trainer, "regularizer=ewc")
        module, ewc = cast(SpikingModule, pl_module), self.ewc
        assert ewc is not None
        done = int(ewc.num_tasks)
        if done < data.task_of(trainer.current_epoch):

            def criterion(outputs: Tensor, target: Tensor) -> Tensor:
                return module.loss(module.task_outputs(outputs, target), target)

            loader = data.loader("train", done)
            ewc.consolidate(module.net, loader, criterion, self.max_samples)

    def undo(self, pl_module: L.LightningModule) -> None:
        """Leave no penalty behind."""
        cast(SpikingModule, pl_module).penalties.pop(NAME, None)

    def state_dict(self) -> dict[str, Any]:
        """Return what is remembered."""
        return {} if self.ewc is None else dict(self.ewc.state_dict())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what the run that is resumed remembered."""
        assert self.ewc is not None
        self.ewc.load_state_dict(state_dict)


class MetaplasticRegularizer(UndoneCallback):
    """Lets all `MetaplasticSynapses` of the network consolidate after each step."""

    def __init__(self) -> None:
        self._handles: list[RemovableHandle] = []

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse a network without such synapses."""
        if stage == "fit" and not _synapses(pl_module):
            raise ConfigurationError(
                t("research.needs_synapses", type=type(pl_module.net).__name__)
            )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Follow the optimizer."""
        synapses = _synapses(pl_module)

        def consolidate(*_: Any) -> None:
            for layer in synapses:
                layer.consolidate()

        optimizers: list[torch.optim.Optimizer] = trainer.optimizers
        self._handles = [each.register_step_post_hook(consolidate) for each in optimizers]

    def undo(self, pl_module: L.LightningModule) -> None:
        """Leave no hooks behind."""
        while self._handles:
            self._handles.pop().remove()


def _synapses(module: L.LightningModule) -> list[MetaplasticSynapses]:
    return [layer for layer in module.modules() if isinstance(layer, MetaplasticSynapses)]
