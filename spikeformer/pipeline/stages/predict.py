"""The stage that predicts test samples one by one, as a service would."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from spikeformer.concurrency import AsyncSpikingInference, Completed
from spikeformer.config import ConcurrencyConfig, instantiate
from spikeformer.data.batch import parts
from spikeformer.error_handling import ConfigurationError, check_choice
from spikeformer.files import replacing
from spikeformer.i18n import t
from spikeformer.pipeline.run import Run
from spikeformer.pipeline.stages.stage import Stage
from spikeformer.runs import PredictionResults, RunFolder


class Predict(Stage):
    """Sends every test sample as a request of its own through `AsyncSpikingInference`.

    Writes `results/predictions.csv`, class, probability and latency of each sample, and
    `results/predictions.json`, what they come to.

    Args:
        weights: "last" (after the last epoch) or "best" (by validation).
    """

    name = "predict"
    config_keys = ("data", "model", "task", "checkpoint", "seed", "concurrency")

    def __init__(self, weights: str = "last") -> None:
        self.weights = check_choice("weights", weights, ("last", "best"))

    def run(self, run: Run) -> dict[str, Any]:
        """Predict, write the table, and return accuracy, throughput and latencies."""
        import pandas as pd  # slow, and other pipelines need it not

        net = run.trained(self.weights)
        config: ConcurrencyConfig = instantiate(
            run.config.concurrency or {"_target_": "spikeformer.config.ConcurrencyConfig"},
            ConcurrencyConfig,
            trusted=run.config.trusted_packages,
        )
        run.parts.data.setup("test")
        engine = AsyncSpikingInference(net.to(run.parts.trainer.strategy.root_device), config)
        start = time.perf_counter()
        rows = asyncio.run(_ask(engine, _samples(run.parts.data.test_dataloader())))
        seconds = time.perf_counter() - start
        table = pd.DataFrame(rows)
        with replacing(self._file(run)) as path:
            table.to_csv(path, index=False)
        latencies = np.quantile(table["latency_ms"], [0.5, 0.99])
        results = PredictionResults(
            accuracy=float((table["prediction"] == table["target"]).mean()),
            num_samples=len(table),
            samples_per_second=len(table) / seconds,
            latency_ms_p50=float(latencies[0]),
            latency_ms_p99=float(latencies[1]),
            workers=engine.num_workers,
            batches=engine.num_batches,
        )
        results.save(RunFolder(run.folder))
        return results.numbers()

    def outputs(self, run: Run) -> list[Path]:
        """Return the table and what it comes to."""
        return [self._file(run), run.folder / PredictionResults.file]

    def summary(self, result: Mapping[str, Any]) -> str:
        """Return accuracy, throughput and latencies."""
        return t(
            "pipeline.predicted",
            accuracy=result["accuracy"],
            samples=result["num_samples"],
            speed=result["samples_per_second"],
            batches=result["batches"],
            median=result["latency_ms_p50"],
            slow=result["latency_ms_p99"],
        )

    def _file(self, run: Run) -> Path:
        return run.folder / "results" / "predictions.csv"


def _samples(loader: Any) -> Iterator[tuple[Any, Any]]:
    """Yield samples as batches of one."""
    for inputs, targets in loader:
        if targets.ndim != 1 or targets.is_floating_point():
            raise ConfigurationError(t("pipeline.predicts_classes"))
        yield from zip(parts(inputs, 1), targets.tolist(), strict=True)


async def _ask(
    engine: AsyncSpikingInference, samples: Iterator[tuple[Any, Any]]
) -> list[dict[str, Any]]:
    """Send all samples and return a row for each, in their order."""
    rows: list[dict[str, Any]] = []

    def keep(row: dict[str, Any], sent: float, done: Completed) -> None:
        probabilities = done.result().float().mean(dim=1).softmax(dim=-1)[0]
        row["prediction"] = int(probabilities.argmax())
        row["probability"] = float(probabilities.max())
        row["latency_ms"] = (time.perf_counter() - sent) * 1e3

    async with engine:
        for index, (sample, target) in enumerate(samples):
            rows.append({"sample": index, "target": target})
            await engine.submit_inference(sample, partial(keep, rows[-1], time.perf_counter()))
    if any("prediction" not in row for row in rows):
        raise ConfigurationError(t("pipeline.unanswered"))
    return rows
