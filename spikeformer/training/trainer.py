"""`SpikingTrainer`: training in one call, for people who bring their own loop of experiments."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.data import sized_len
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from spikeformer.error_handling import ArgumentError, check_choice, check_positive
from spikeformer.models.hub import HubMixin
from spikeformer.training.callbacks import BestAndLast, FiringRateMonitor, SpikeRegularization
from spikeformer.training.history import HistoryRecorder, TrainingHistory
from spikeformer.training.lamb import Lamb
from spikeformer.training.losses import Loss, get_loss
from spikeformer.training.module import SpikingModule
from spikeformer.training.muon import Muon
from spikeformer.training.plugins import make_trainer
from spikeformer.training.tasks import (
    ClassificationModule,
    LanguageModule,
    MultiLabelModule,
    RegressionModule,
)

CALLBACKS: dict[str, Any] = {
    "early_stopping": partial(EarlyStopping, patience=10),
    "checkpoint": partial(BestAndLast, save_last=True),
    "spike_regularization": SpikeRegularization,
    "firing_rate": FiringRateMonitor,
    "lr_monitor": LearningRateMonitor,
}
"""Callbacks by the names that `SpikingTrainer.fit` accepts."""

_TASKS: dict[str, type[SpikingModule]] = {
    "binary_cross_entropy": MultiLabelModule,
    "mse": RegressionModule,
    "next_token": LanguageModule,
}


class SpikingTrainer:
    """Trains a spiking network: a few lines over `SpikingModule` and `lightning.Trainer`.

    Args:
        model: Maps inputs to outputs of shape (batch, timesteps, ...).
        optimizer: Name of an optimizer in `torch.optim`, or "Lamb"; "Muon" is
            `spikeformer.training.Muon`, which takes all parameters.
        loss_fn: A key of `spikeformer.training.LOSSES`, or any `loss(outputs, target)`.
        learning_rate: Learning rate; above 0.
        **trainer_kwargs: Further arguments of `lightning.Trainer`, as `accelerator="gpu"`,
            `precision="bf16-mixed"` or `logger=...`.

    Example:
        >>> trainer = SpikingTrainer(model, learning_rate=1e-3)              # doctest: +SKIP
        >>> history = trainer.fit(train_loader, val_loader, epochs=10)       # doctest: +SKIP
        >>> history.to_pandas()["val/accuracy"].max()                        # doctest: +SKIP
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: str = "AdamW",
        loss_fn: str | Loss = "spike_count_loss",
        learning_rate: float = 1e-4,
        **trainer_kwargs: Any,
    ) -> None:
        check_positive("learning_rate", learning_rate)
        optimizers: dict[str, Any] = {
            name: value
            for name, value in {**vars(torch.optim), "Lamb": Lamb, "Muon": Muon}.items()
            if isinstance(value, type) and issubclass(value, torch.optim.Optimizer)
        }
        check_choice("optimizer", optimizer, sorted(set(optimizers) - {"Optimizer"}))
        if isinstance(loss_fn, str):
            loss, task = get_loss(loss_fn), _TASKS.get(loss_fn, ClassificationModule)
        else:
            loss, task = loss_fn, SpikingModule
        if taken := sorted({"callbacks", "max_epochs", "enable_checkpointing"} & {*trainer_kwargs}):
            raise ArgumentError(
                "trainer_kwargs", taken, "without what `fit` decides", "Tell `fit`."
            )
        self.model = model
        self.module = task(model, loss, partial(optimizers[optimizer], lr=learning_rate))
        self.trainer_kwargs = {"logger": False, "enable_model_summary": False, **trainer_kwargs}

    def fit(
        self,
        train_loader: DataLoader[Any],
        val_loader: DataLoader[Any] | None = None,
        epochs: int = 100,
        callbacks: Sequence[str | L.Callback] | None = None,
        *,
        ckpt_path: str | None = None,
    ) -> TrainingHistory:
        """Train the model in place.

        Args:
            train_loader: Yields `(inputs, target)`.
            val_loader: Likewise, for validation after every epoch; None for none.
            epochs: Number of epochs in all; at least 1.
            callbacks: Names of callbacks, keys of `spikeformer.training.CALLBACKS`, or
                Lightning callbacks of your own.
            ckpt_path: Checkpoint from which to resume.

        Returns:
            The numbers of every epoch.

        Raises:
            ArgumentError: A callback's name is unknown, or a loader is empty.
        """
        if epochs < 1:
            raise ArgumentError("epochs", epochs, "an integer of at least 1")
        for name, loader in (("train_loader", train_loader), ("val_loader", val_loader)):
            if loader is not None and sized_len(loader) == 0:
                raise ArgumentError(name, loader, "a loader with at least one batch")
        recorder = HistoryRecorder()
        validates = val_loader is not None and self.trainer_kwargs.get("limit_val_batches") != 0
        chosen = [self._callback(item, validates) for item in callbacks or []]
        checkpointing = any(isinstance(item, ModelCheckpoint) for item in chosen)
        options: dict[str, Any] = {"limit_val_batches": 0} if val_loader is None else {}
        trainer = make_trainer(
            max_epochs=epochs,
            callbacks=[*chosen, recorder],
            enable_checkpointing=checkpointing,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            **{**options, **self.trainer_kwargs},
        )
        # An empty list says that there is no validation on purpose; None makes Lightning warn.
        validation: Any = [] if val_loader is None else val_loader
        trainer.fit(self.module, train_loader, validation, ckpt_path=ckpt_path)
        return recorder.history

    def evaluate(self, loader: DataLoader[Any]) -> dict[str, float]:
        """Return the loss and the task's metrics over a loader, the model in evaluation mode.

        Args:
            loader: Yields `(inputs, target)`.

        Returns:
            Numbers by name: "loss", and for classes "accuracy", in [0, 1].

        Raises:
            ArgumentError: The loader is empty.
        """
        (found,) = self._without_training(loader).test(self.module, loader, verbose=False)
        return {name.removeprefix("test/"): value for name, value in found.items()}

    def predict(self, loader: DataLoader[Any]) -> Tensor:
        """Return the outputs for a loader's samples, averaged over timesteps.

        Args:
            loader: Yields inputs, or `(inputs, target)`, whose targets are not looked at.

        Returns:
            Shape (samples, ...), in the loader's order, on the CPU.

        Raises:
            ArgumentError: The loader is empty.
        """
        batches: Any = self._without_training(loader).predict(self.module, loader)
        return torch.cat([batch.cpu() for batch in batches])

    def save(self, folder: str | Path, *, card: str | None = None) -> Path:
        """Write the model into a folder that `SpikingNetwork.from_pretrained` reads.

        Args:
            folder: Where to; made if it is not there.
            card: The model card, Markdown; None says what the network is.

        Raises:
            ArgumentError: The model is no network that can be saved so.
            ConfigurationError: The model cannot be described in a file.
        """
        if not isinstance(self.model, HubMixin):
            expected = "a SpikingNetwork, a MultiModalNetwork or a converted network"
            remedy = "Wrap backbone and head in a SpikingNetwork, or save the `state_dict`."
            raise ArgumentError("model", type(self.model).__name__, expected, remedy)
        return self.model.save_pretrained(folder, card=card)

    def _without_training(self, loader: DataLoader[Any]) -> L.Trainer:
        if sized_len(loader) == 0:
            raise ArgumentError("loader", loader, "a loader with at least one batch")
        return make_trainer(enable_checkpointing=False, **self.trainer_kwargs)

    def _callback(self, item: str | L.Callback, validates: bool) -> L.Callback:
        if isinstance(item, L.Callback):
            return item
        factory = CALLBACKS[check_choice("callbacks", item, CALLBACKS)]
        if item in ("early_stopping", "checkpoint"):
            if validates:
                monitor, mode = self.module.monitor, self.module.monitor_mode
            else:
                monitor, mode = "train/loss", "min"
            factory = partial(factory, monitor=monitor, mode=mode)
        if item == "lr_monitor" and self.trainer_kwargs["logger"] is False:
            raise ArgumentError(
                "callbacks", item, "used with a logger", "Pass logger=True or a Lightning logger."
            )
        callback: L.Callback = factory()
        return callback
