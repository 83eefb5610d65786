"""`HybridTrainer`: two-phase training in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning as L
from torch import nn
from torch.utils.data import DataLoader

from spikeformer.error_handling import ArgumentError, check_choice, check_positive_int
from spikeformer.neurons import LifNeuron
from spikeformer.ops import SURROGATES
from spikeformer.training.callbacks import HybridPhases
from spikeformer.training.history import TrainingHistory
from spikeformer.training.losses import Loss
from spikeformer.training.schedules import cosine_with_warmup
from spikeformer.training.trainer import SpikingTrainer


class HybridTrainer:
    """Trains a network first with rates, then with spikes: a few lines over `HybridPhases`.

    The learning rate rises and falls once over both phases, so the spiking one fine-tunes.

    Args:
        model: A network with spiking neurons; maps inputs to (batch, timesteps, ...).
        ann_epochs: Epochs with every neuron replaced by its rate function.
        snn_epochs: Epochs of the spiking network after them; at least 1.
        surrogate_gradient: Surrogate derivative that all LIF neurons get, with its default slope;
            a key of `spikeformer.ops.SURROGATES`. None leaves them as they are.
        optimizer: Name of an optimizer in `torch.optim`.
        loss_fn: A key of `spikeformer.training.LOSSES`, or any `loss(outputs, target)`.
        learning_rate: Highest learning rate; above 0.
        **trainer_kwargs: Further arguments of `lightning.Trainer`.

    Raises:
        ArgumentError: An argument is outside its range.

    Example:
        >>> trainer = HybridTrainer(model, ann_epochs=8, snn_epochs=4,             # doctest: +SKIP
        ...                         surrogate_gradient="sigmoid")
        >>> history = trainer.train(train_loader, val_loader, teacher_model=vit)   # doctest: +SKIP
    """

    def __init__(
        self,
        model: nn.Module,
        ann_epochs: int = 50,
        snn_epochs: int = 20,
        surrogate_gradient: str | None = "fast_sigmoid",
        *,
        optimizer: str = "AdamW",
        loss_fn: str | Loss = "cross_entropy",
        learning_rate: float = 2e-3,
        **trainer_kwargs: Any,
    ) -> None:
        if isinstance(ann_epochs, bool) or not isinstance(ann_epochs, int) or ann_epochs < 0:
            raise ArgumentError("ann_epochs", ann_epochs, "an integer of at least 0")
        check_positive_int("snn_epochs", snn_epochs)
        if surrogate_gradient is not None:
            check_choice("surrogate_gradient", surrogate_gradient, SURROGATES)
            for module in model.modules():
                if isinstance(module, LifNeuron):
                    module.surrogate_type, module.surrogate_slope = surrogate_gradient, None
        self.model = model
        self.ann_epochs, self.snn_epochs = ann_epochs, snn_epochs
        self.trainer = SpikingTrainer(model, optimizer, loss_fn, learning_rate, **trainer_kwargs)
        self.trainer.module.scheduler = cosine_with_warmup

    def train(
        self,
        train_loader: DataLoader[Any],
        val_loader: DataLoader[Any] | None = None,
        teacher_model: nn.Module | None = None,
        distillation_weight: float = 0.5,
        *,
        callbacks: Sequence[str | L.Callback] | None = None,
        ckpt_path: str | None = None,
        **distillation: Any,
    ) -> TrainingHistory:
        """Train the model in place.

        Args:
            train_loader: Yields `(inputs, target)`.
            val_loader: Likewise; the spiking network is validated on it after every epoch.
            teacher_model: Maps the same inputs to logits: any module, or a model of
                `transformers`. It is put into evaluation mode and gets no gradients.
            distillation_weight: Its share of the loss, in [0, 1].
            callbacks: As of `SpikingTrainer.fit`; `"checkpoint"` allows to resume. Without a
                `val_loader`, its best one is that of the lowest training loss, whatever the phase.
            ckpt_path: Checkpoint from which to go on, in the phase in which it was written.
            **distillation: Further arguments of `HybridPhases`: `temperature`, `feature_weight`,
                `student_layer`, `teacher_layer`.

        Returns:
            The numbers of every epoch; `train/spiking` is 0 in the first phase, 1 in the second.

        Raises:
            ArgumentError: The teacher's outputs do not fit, or an argument is outside its range.
        """
        phases = HybridPhases(self.ann_epochs, teacher_model, distillation_weight, **distillation)
        return self.trainer.fit(
            train_loader,
            val_loader,
            epochs=self.ann_epochs + self.snn_epochs,
            callbacks=[phases, *(callbacks or [])],
            ckpt_path=ckpt_path,
        )
