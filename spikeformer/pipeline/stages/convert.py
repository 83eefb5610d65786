"""The stage that converts a trained network and compares it with its original."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from spikeformer.config import instantiate
from spikeformer.conversion import ConversionPipeline, PretrainedTransformer, save_converted
from spikeformer.data import TextDataModule
from spikeformer.data.batch import to_device
from spikeformer.error_handling import (
    ArgumentError,
    ConfigurationError,
    check_positive_int,
)
from spikeformer.i18n import t
from spikeformer.pipeline.run import Run
from spikeformer.pipeline.stages.stage import Stage
from spikeformer.runs import ConversionResults, RunFolder


class Convert(Stage):
    """Converts the run's network on its training data and compares both on its test data.

    Writes `results/conversion.json`, and the converted network into `converted/`, from where
    `spikeformer.conversion.load_converted` reads it.

    Args:
        calibration_samples: Training samples to calibrate on; None takes 256, and of a language
            model's texts 2,000 tokens.
        fine_tune_epochs: Most epochs of distillation from the original.
        max_samples: Test samples to compare on, of a language model tokens; None takes all.
    """

    name = "convert"
    config_keys = ("conversion", "data", "model", "checkpoint", "seed")

    def __init__(
        self,
        calibration_samples: int | None = None,
        fine_tune_epochs: int = 0,
        max_samples: int | None = None,
    ) -> None:
        self.calibration_samples = calibration_samples
        if calibration_samples is not None:
            check_positive_int("calibration_samples", calibration_samples)
        if fine_tune_epochs < 0:
            raise ArgumentError("fine_tune_epochs", fine_tune_epochs, "an integer of at least 0")
        self.fine_tune_epochs = fine_tune_epochs
        self.max_samples = (
            None if max_samples is None else check_positive_int("max_samples", max_samples)
        )

    def run(self, run: Run) -> dict[str, Any]:
        """Convert, compare, and write both results."""
        network = run.parts.module.net
        if not isinstance(network, PretrainedTransformer):
            raise ConfigurationError(t("pipeline.needs_pretrained"))
        if not run.config.conversion:
            raise ConfigurationError(t("pipeline.needs_conversion"))
        network.to(run.parts.trainer.strategy.root_device)
        pipeline: ConversionPipeline = instantiate(
            run.config.conversion,
            ConversionPipeline,
            trusted=run.config.trusted_packages,
        )(_Prepared(run.parts.data.train_dataloader(), network))
        return self._compare(run, network, pipeline)

    def _compare(
        self, run: Run, network: PretrainedTransformer, pipeline: ConversionPipeline
    ) -> dict[str, Any]:
        samples = self.calibration_samples or (2000 if network.language else 256)
        spiking = pipeline.convert(network.model, samples, self.fine_tune_epochs)
        run.parts.data.setup("test")
        test = _Prepared(run.parts.data.test_dataloader(), network)
        evaluation = pipeline.evaluate_conversion(
            spiking,
            test,
            max_samples=self.max_samples,
            count_bytes=getattr(run.parts.data, "num_bytes", None),
        )
        results = ConversionResults(
            network.pretrained, evaluation, pipeline.report(), pipeline.losses
        )
        results.save(RunFolder(run.folder))
        save_converted(spiking, run.folder / "converted")
        if isinstance(run.parts.data, TextDataModule) and not run.parts.data.encoder.trained:
            run.parts.data.encoder.tokenizer.save_pretrained(run.folder / "converted")
        return results.numbers()

    def outputs(self, run: Run) -> list[Path]:
        """Return the result and the converted network."""
        names = (
            ConversionResults.file,
            "converted/conversion.json",
            "converted/model.safetensors",
        )
        return [run.folder / name for name in names]

    def summary(self, result: Mapping[str, Any]) -> str:
        """Return accuracies or perplexities, and the agreement."""
        if "perplexity" in result:
            return t(
                "pipeline.converted_language",
                original=result["original_perplexity"],
                perplexity=result["perplexity"],
                agreement=result["agreement"],
                events=result["events_per_neuron"],
                timesteps=result["timesteps"],
                samples=result["num_samples"],
            )
        return t(
            "pipeline.converted",
            original=result["original_accuracy"],
            accuracy=result["accuracy"],
            agreement=result["agreement"],
            events=result["events_per_neuron"],
            timesteps=result["timesteps"],
            samples=result["num_samples"],
        )


class _Prepared:
    """A loader whose inputs are the arguments of a pretrained model."""

    def __init__(self, loader: DataLoader[Any], network: PretrainedTransformer) -> None:
        self.loader: Iterable[Any] = loader
        self.network = network

    def __iter__(self) -> Iterator[tuple[dict[str, Any], Any]]:
        device = next(self.network.parameters()).device
        for inputs, targets in self.loader:
            yield self.network.arguments(to_device(inputs, device)), targets
