"""The stage that profiles the energy of a trained network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from spikeformer.config import instantiate
from spikeformer.data.batch import first, num_samples, take, to_device
from spikeformer.error_handling import ProfilingError, check_choice, check_positive_int
from spikeformer.i18n import t
from spikeformer.pipeline.run import Run
from spikeformer.pipeline.stages.stage import Stage
from spikeformer.profiling import EnergyProfiler, energy_text
from spikeformer.runs import EnergyResults, RunFolder


class Profile(Stage):
    """Estimates or measures the energy of a test sample, beside that of its baselines.

    Args:
        weights: "last" (after the last epoch) or "best" (by validation).
        num_samples: Test samples to run, or fewer if there are not so many; None takes one batch.
    """

    name = "profile"
    config_keys = ("data", "model", "task", "checkpoint", "seed", "profiler")

    def __init__(self, weights: str = "last", num_samples: int | None = None) -> None:
        self.weights = check_choice("weights", weights, ("last", "best"))
        self.num_samples = num_samples
        if num_samples is not None:
            check_positive_int("num_samples", num_samples)

    def is_wanted(self, config: DictConfig) -> bool:
        """Tell whether a profiler is chosen."""
        return bool(config.profiler)

    def run(self, run: Run) -> dict[str, Any]:
        """Measure or model, and write `results/energy.json`; the numbers go to the loggers too."""
        profiler: EnergyProfiler = instantiate(
            run.config.profiler, EnergyProfiler, trusted=run.config.trusted_packages
        )
        module = run.parts.module
        run.trained(self.weights)
        module.to(run.parts.trainer.strategy.root_device).eval()
        batches = list(self._batches(run))
        try:
            results = _results(profiler, module, batches)
        except ProfilingError as error:
            error.add_note(t("pipeline.without_profiler"))
            raise
        results.save(RunFolder(run.folder))
        numbers = results.numbers()
        logged = {f"energy/{k}": v for k, v in numbers.items() if isinstance(v, int | float)}
        for logger in run.parts.loggers:
            logger.log_metrics(logged)
        return numbers

    def outputs(self, run: Run) -> list[Path]:
        """Return the result file."""
        return [run.folder / EnergyResults.file]

    def summary(self, result: Mapping[str, Any]) -> str:
        """Return the energy with its bounds, and whether it was measured."""
        return t(
            "pipeline.profiled",
            energy=energy_text(result["energy_per_sample_uj"]),
            low=energy_text(result["energy_per_sample_low_uj"]),
            high=energy_text(result["energy_per_sample_high_uj"]),
            kind=t(f"profiling.kind_{result['kind']}"),
            backend=result["backend"],
            samples=result["samples"],
        )

    def _batches(self, run: Run) -> Iterator[Any]:
        """Yield inputs of test batches on the network's device, until there are enough samples."""
        loader, device = run.parts.data.test_dataloader(), run.parts.trainer.strategy.root_device
        if self.num_samples is None:
            inputs, _ = next(take(loader, 1))
            yield to_device(inputs, device)
            return
        left = self.num_samples
        for inputs, _ in take(loader, self.num_samples):
            yield to_device(first(inputs, left), device)
            left -= num_samples(inputs)


@torch.no_grad()
def _results(profiler: EnergyProfiler, module: Any, batches: Sequence[Any]) -> EnergyResults:
    module(batches[0])  # what a first pass allocates and compiles is no part of it
    with profiler.attach(module.net).measure() as recording:
        for batch in batches:
            module(batch)
    return EnergyResults.of(profiler, recording)
