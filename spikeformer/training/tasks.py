"""One LightningModule per task: they differ in their metrics alone."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanMetric, MeanSquaredError, Metric
from torchmetrics.text import Perplexity

from spikeformer.training.losses import class_target, predicted_class, value_target
from spikeformer.training.module import SpikingModule


class ClassificationModule(SpikingModule):
    """Exactly one class is right; logs `accuracy`. Arguments: see `SpikingModule`."""

    monitor = "val/accuracy"
    monitor_mode = "max"

    def make_metrics(self) -> dict[str, Metric]:
        """Return loss and accuracy."""
        return {**super().make_metrics(), "accuracy": MeanMetric()}

    def update_metrics(
        self, metrics: Mapping[str, Metric], outputs: Tensor, target: Tensor
    ) -> None:
        """Count right classes; a mixed target counts by its larger part."""
        target = class_target(outputs, target)
        classes = target.argmax(dim=1) if target.ndim == 2 else target
        metrics["accuracy"].update((predicted_class(outputs) == classes).float())


class MultiLabelModule(SpikingModule):
    """Any number of labels may be right; logs `accuracy` per label and `exact_match`."""

    monitor = "val/accuracy"
    monitor_mode = "max"

    def make_metrics(self) -> dict[str, Metric]:
        """Return loss, the share of right labels, and the share of samples right in all labels."""
        return {**super().make_metrics(), "accuracy": MeanMetric(), "exact_match": MeanMetric()}

    def update_metrics(
        self, metrics: Mapping[str, Metric], outputs: Tensor, target: Tensor
    ) -> None:
        """Compare labels; a label is predicted where its average output is above 0."""
        right = (outputs.mean(dim=1) > 0) == (target > 0.5)
        metrics["accuracy"].update(right.float())
        metrics["exact_match"].update(right.all(dim=1).float())


class RegressionModule(SpikingModule):
    """Predicts values; logs `mae` and `rmse`."""

    monitor = "val/mae"

    def make_metrics(self) -> dict[str, Metric]:
        """Return loss, mean absolute error and root mean squared error."""
        return {
            **super().make_metrics(),
            "mae": MeanAbsoluteError(),
            "rmse": MeanSquaredError(squared=False),
        }

    def update_metrics(
        self, metrics: Mapping[str, Metric], outputs: Tensor, target: Tensor
    ) -> None:
        """Compare the average over time with the target."""
        values = outputs.mean(dim=1)
        target = value_target(values, target)
        for name in ("mae", "rmse"):
            metrics[name].update(values.contiguous(), target)


class LanguageModule(SpikingModule):
    """Predicts the next token; logs `accuracy` and `perplexity`."""

    monitor = "val/perplexity"

    def make_metrics(self) -> dict[str, Metric]:
        """Return loss, the share of right tokens, and perplexity."""
        perplexity = Perplexity(ignore_index=-100)
        return {**super().make_metrics(), "accuracy": MeanMetric(), "perplexity": perplexity}

    def update_metrics(
        self, metrics: Mapping[str, Metric], outputs: Tensor, target: Tensor
    ) -> None:
        """Compare the tokens that are no padding."""
        logits = outputs.mean(dim=1)
        metrics["perplexity"].update(logits, target)
        real = target != -100
        if bool(torch.any(real)):
            metrics["accuracy"].update((logits.argmax(dim=-1) == target)[real].float())
