"""The stage that measures a trained network on data it has not seen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from spikeformer.data.batch import split
from spikeformer.error_handling import check_choice
from spikeformer.i18n import format_number, t
from spikeformer.instrument import ActivityProbe
from spikeformer.metrics import metric_label
from spikeformer.pipeline.run import Run
from spikeformer.pipeline.stages.examples import ExampleCollector
from spikeformer.pipeline.stages.sample import record_sample
from spikeformer.pipeline.stages.stage import Stage
from spikeformer.runs import RunFolder, SampleResults, TestResults
from spikeformer.training import single_device_trainer


class Test(Stage):
    """Tests the network, with the activity of every layer and one recorded sample.

    Args:
        weights: "last" (after the last epoch) or "best" (by validation).
    """

    __test__ = False  # not a test case, whatever its name says to pytest
    name = "test"
    config_keys = ("data", "model", "task", "checkpoint", "seed")

    def __init__(self, weights: str = "last") -> None:
        self.weights = check_choice("weights", weights, ("last", "best"))

    def run(self, run: Run) -> dict[str, Any]:
        """Test on one device; write `results/test.json`, `sample.npz` and `examples.npz`."""
        module, data = run.parts.module, run.parts.data
        run.trained(self.weights)
        outputs = _OutputCollector(ExampleCollector(data))
        settings = run.config.trainer
        trainer = single_device_trainer(
            settings,
            limit_test_batches=settings.limit_test_batches,
            logger=run.parts.loggers,
            callbacks=[outputs],
            default_root_dir=str(run.folder),
        )
        with ActivityProbe(module.net) as probe:
            trainer.test(module, data, verbose=False)
        module.float()  # as the data are, outside of the trainer and its precision
        metrics = {
            name.removeprefix("test/"): float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith("test/")
        }
        metrics["firing_rate"] = probe.firing_rate
        is_classifier = data.class_names and outputs.are_classes
        results = TestResults(
            metrics=metrics,
            class_names=data.class_names or None,
            confusion_matrix=outputs.confusion_matrix() if is_classifier else None,
            num_samples=outputs.num_samples,
            accuracy_by_timestep=outputs.accuracy_by_timestep() if is_classifier else None,
            **probe.summary(),
        )
        folder = RunFolder(run.folder)
        results.save(folder)
        record_sample(module, data).save(folder)
        if examples := outputs.examples.results():
            examples.save(folder)
        return results.numbers()

    def outputs(self, run: Run) -> list[Path]:
        """Return the two result files."""
        return [run.folder / kind.file for kind in (TestResults, SampleResults)]

    def summary(self, result: Mapping[str, Any]) -> str:
        """Return the metrics and the firing rate."""
        shares = ("accuracy", "exact_match", "firing_rate")
        numbers = [
            f"{metric_label(key)} {format_number(value, '.2%' if key in shares else '.4g')}"
            for key, value in result.items()
            if key != "num_samples"
        ]
        metrics = ", ".join(sorted(numbers))
        return t("pipeline.tested", metrics=metrics, samples=result["num_samples"])


class _OutputCollector(L.Callback):
    """Keeps the network's outputs, averaged over time, and their targets; counts early hits."""

    def __init__(self, examples: ExampleCollector) -> None:
        self.examples = examples
        self._outputs: list[Tensor] = []
        self._targets: list[Tensor] = []

    def on_test_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Keep one batch's outputs on the CPU."""
        inputs, target = split(batch)
        self.num_samples += target.shape[0]
        if outputs.ndim == 3:
            over_time = outputs.float().cpu()
            self._outputs.append(over_time.mean(dim=1))
            self._targets.append(target.cpu())
            if self.are_classes:
                self.examples.add(inputs, self._outputs[-1], self._targets[-1])
                # The sum decides as the mean does.
                early = over_time.cumsum(dim=1).argmax(dim=-1) == self._targets[-1][:, None]
                self._right_early = self._right_early + early.sum(dim=0)

    num_samples = 0
    _right_early: Tensor | int = 0

    def accuracy_by_timestep(self) -> list[float]:
        """Return the accuracy of the output after 1, 2, ... timesteps."""
        assert isinstance(self._right_early, Tensor)  # there was a batch of classes
        return (self._right_early / self.num_samples).tolist()

    @property
    def are_classes(self) -> bool:
        """Whether there is one class per sample."""
        return bool(self._targets) and self._targets[0].ndim == 1

    def confusion_matrix(self) -> npt.NDArray[np.int64]:
        """Return counts, rows true classes, columns predicted ones."""
        outputs, targets = torch.cat(self._outputs), torch.cat(self._targets)
        matrix: npt.NDArray[np.int64] = multiclass_confusion_matrix(
            outputs, targets, num_classes=outputs.shape[1]
        ).numpy()
        return matrix
