"""Fine-tuning for a chip's integers, a part of the stage that compiles."""

from __future__ import annotations

from functools import partial
from typing import Any

import lightning as L

from spikeformer.hardware import InputShape, NumberFormat, RoundedWeights
from spikeformer.pipeline.run import Run
from spikeformer.training import single_device_trainer
from spikeformer.training.callbacks import EpochSeed

LEARNING_RATE_FACTOR = 0.1
"""Of the learning rate of training, without a schedule."""


class _FitScales(L.Callback):
    """Takes the scales anew when an epoch begins."""

    def __init__(self, rounding: RoundedWeights) -> None:
        self.rounding = rounding

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Follow the largest weights."""
        self.rounding.fit_scales()


def finetune(run: Run, input_shape: InputShape, numbers: NumberFormat) -> None:
    """Train the run's network on with rounded weights; write `hardware/finetuned.ckpt`.

    Args:
        run: The run; its network has the weights to start from.
        input_shape: Shape of one sample.
        numbers: The chip's integers.
    """
    module, settings = run.parts.module, run.config.trainer
    optimizer, scheduler = module.optimizer, module.scheduler
    module.optimizer, module.scheduler = _slower(optimizer), None
    module.train()
    try:
        with RoundedWeights(module.net, input_shape, numbers) as rounding:
            single_device_trainer(
                settings,
                max_epochs=run.config.hardware.qat_epochs,
                limit_train_batches=settings.limit_train_batches,
                limit_val_batches=0,
                logger=False,
                callbacks=[
                    EpochSeed(run.config.seed),
                    _FitScales(rounding),
                    *run.parts.services.watch(run.parts.data),
                ],
                default_root_dir=str(run.folder),
            ).fit(module, run.parts.data)
    finally:
        module.optimizer, module.scheduler = optimizer, scheduler
    module.cpu()
    run.save_weights(run.files.finetuned)


def _slower(optimizer: Any) -> Any:
    """Return an optimizer factory with a fraction of the learning rate, where it names one."""
    lr = getattr(optimizer, "keywords", {}).get("lr")
    return optimizer if lr is None else partial(optimizer, lr=lr * LEARNING_RATE_FACTOR)
