"""Conversion with calibration: thresholds, biases, trade-off and fine-tuning from data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from tqdm import tqdm  # type: ignore[import-untyped]

from spikeformer.config import registered
from spikeformer.conversion.calibration import trade_off
from spikeformer.conversion.calibration.fine_tuning import fine_tune
from spikeformer.conversion.calibration.magnitudes import Magnitudes
from spikeformer.conversion.calibration.tuning import LayerwiseTuner
from spikeformer.conversion.converter import SpikeformerConverter, verify
from spikeformer.conversion.evaluation.evaluation import METRICS, evaluate_conversion
from spikeformer.conversion.evaluation.figures import Evaluation
from spikeformer.conversion.evaluation.tally import num_tokens
from spikeformer.conversion.generation import generates
from spikeformer.conversion.model import SpikingModel
from spikeformer.conversion.report import ConversionReport
from spikeformer.data.batch import arguments, device_of, num_samples, take, to_device
from spikeformer.error_handling import (
    ArgumentError,
    check_choice,
    check_interval,
    check_positive,
    check_positive_int,
)
from spikeformer.instrument import copy_network, uncompiled

MODES = ("layer_wise", "channel_wise")


@registered
class ConversionPipeline:
    """Converts a network with the help of data it was made for; labels are not needed.

    1. Thresholds are the `quantile` of every channel's magnitude over the calibration data.
    2. Layer by layer they are scaled to the least error, and biases make up for what remains. A
       coding with more than 8 levels has room above and below (`Coding.headroom`) and does
       without: nothing is fitted to one kind of text that another would have to pay for.
    3. Agreement, events and modelled energy are measured for fewer levels and timesteps too, and
       the `optimization_target` chooses: the most accurate, the cheapest or the quickest that still
       agrees on 99 % of the samples. A coding with more than 8 levels is most accurate as it is.
       For "latency" samples may also leave as soon as their class is clear, but not tokens.
    4. Up to `fine_tune_epochs` of distillation from the original, as long as they help. None is
       needed where the network agrees on all calibration samples already.

    A token that a language model of `transformers` predicts counts as a sample.

    Args:
        calibration_data: Batches `(inputs, targets)`, dicts of keyword arguments, or inputs alone.
        conversion_mode: "layer_wise" scales the thresholds of a layer together, "channel_wise"
            those of every channel by themselves.
        optimization_target: "accuracy", "energy" or "latency".
        converter: Timesteps, coding and strictness; by default `SpikeformerConverter(8)`.
        quantile: Share of magnitudes below the largest level; None takes 0.999, and the largest of
            all for a coding with more than 8 levels.
        learning_rate: Step size of fine-tuning.
        evaluation_samples: Most calibration samples that the trade-off is measured on.
        progress: Show progress bars.

    Raises:
        ArgumentError: A value lies outside its range.

    Example:
        >>> data = torch.utils.data.DataLoader(torch.randn(64, 8), batch_size=16)
        >>> net = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 2))
        >>> pipeline = ConversionPipeline(data, optimization_target="latency", progress=False)
        >>> snn = pipeline.convert(net, calibration_samples=64, fine_tune_epochs=0)
        >>> snn(torch.randn(4, 8)).shape, snn.timesteps <= 8
        (torch.Size([4, 2]), True)
    """

    def __init__(
        self,
        calibration_data: Iterable[Any],
        conversion_mode: str = "layer_wise",
        optimization_target: str = "accuracy",
        *,
        converter: SpikeformerConverter | None = None,
        quantile: float | None = None,
        learning_rate: float = 1e-5,
        evaluation_samples: int = 256,
        progress: bool = True,
    ) -> None:
        if isinstance(calibration_data, str | bytes) or not hasattr(calibration_data, "__iter__"):
            raise ArgumentError(
                "calibration_data",
                type(calibration_data).__name__,
                "an iterable of batches, such as a DataLoader",
            )
        self.calibration_data = calibration_data
        self.conversion_mode = check_choice("conversion_mode", conversion_mode, MODES)
        self.optimization_target = check_choice(
            "optimization_target", optimization_target, trade_off.TARGETS
        )
        self.converter = SpikeformerConverter(timesteps=8) if converter is None else converter
        self.quantile = quantile
        if quantile is not None:
            check_interval("quantile", quantile, 0.5, 1.0)
        self.learning_rate = check_positive("learning_rate", learning_rate)
        self.evaluation_samples = check_positive_int("evaluation_samples", evaluation_samples)
        self.progress = progress
        self.original: nn.Module | None = None
        self.losses: list[float] = []

    def convert(
        self, ann_model: nn.Module, calibration_samples: int = 1000, fine_tune_epochs: int = 5
    ) -> SpikingModel:
        """Return the spiking network; the original stays as it is.

        Args:
            ann_model: The network.
            calibration_samples: How many samples to take from the calibration data.
            fine_tune_epochs: Most epochs of distillation; 0 trains nothing.

        Raises:
            ArgumentError: The data is empty or does not hold tensors.
            ConversionError: The data does not fit the network, or the network holds something
                without a spiking form.
        """
        check_positive_int("calibration_samples", calibration_samples)
        if isinstance(fine_tune_epochs, bool) or fine_tune_epochs < 0:
            raise ArgumentError("fine_tune_epochs", fine_tune_epochs, "an integer of at least 0")
        spiking = self.converter.prepare(ann_model)
        original = self.original = uncompiled(copy_network(ann_model)).eval()
        batches = [
            to_device(inputs, device_of(original))
            for inputs, _ in take(self.calibration_data, calibration_samples, self._size(original))
        ]
        self._calibrate(spiking, batches)
        if spiking.coding.headroom == 1.0:
            self._tune(spiking, batches[0])
        self._choose(spiking, original, batches)
        if fine_tune_epochs and not self._is_perfect(spiking):
            self.losses = fine_tune(
                spiking,
                original,
                batches,
                epochs=fine_tune_epochs,
                learning_rate=self.learning_rate,
                progress=self.progress,
            )
        return spiking

    def report(self) -> ConversionReport:
        """Return what became of every module, with the trade-off and what was chosen."""
        return self.converter.report()

    def evaluate_conversion(
        self,
        snn: SpikingModel,
        loader: Iterable[Any],
        metrics: Sequence[str] = METRICS,
        *,
        max_samples: int | None = None,
        count_bytes: Callable[[Tensor], int] | None = None,
    ) -> Evaluation:
        """Compare a network that this pipeline converted with its original."""
        return evaluate_conversion(
            snn,
            loader,
            metrics,
            original=self.original,
            max_samples=max_samples,
            progress=self.progress,
            count_bytes=count_bytes,
        )

    @staticmethod
    def _size(original: nn.Module) -> Callable[[Any], int]:
        return num_tokens if generates(original) else num_samples

    def _calibrate(self, spiking: SpikingModel, batches: list[Any]) -> None:
        quantile = 0.999 if spiking.coding.headroom == 1.0 else 1.0
        magnitudes = Magnitudes(self.quantile or quantile, len(batches))
        shown = tqdm(batches, desc="calibrating", disable=not self.progress)
        self.converter.analyse(spiking, shown, magnitudes)
        self.converter.set_thresholds(spiking, magnitudes, headroom=1.0)
        verify(spiking, batches[0])

    def _tune(self, spiking: SpikingModel, inputs: Any) -> None:
        args, kwargs = arguments(inputs)
        tuner = LayerwiseTuner(spiking, channel_wise=self.conversion_mode == "channel_wise")
        spiking.tune(tuner, *args, **kwargs)

    def _choose(self, spiking: SpikingModel, original: nn.Module, batches: list[Any]) -> None:
        # The last batches: thresholds were tuned on the first.
        held, samples = [], 0
        for inputs in reversed(batches):
            held.append(inputs)
            samples += self._size(original)(inputs)
            if samples >= self.evaluation_samples:
                break
        # Headroom is not to be given up for what a few tokens show.
        keeps = spiking.coding.headroom > 1.0 and self.optimization_target == "accuracy"
        spiking.trade_off = trade_off.measure(spiking, original, held, keeps_levels=keeps)
        row = trade_off.choose(spiking.trade_off, self.optimization_target)
        if keeps:
            row = spiking.trade_off[-1]
        spiking.timesteps = row["timesteps"]
        if spiking.coding.encoding == "rate":
            spiking.coding = replace(spiking.coding, levels=row["levels"])
        # Tokens of a text cannot leave one by one: those after them need every timestep.
        if self.optimization_target == "latency" and not generates(original):
            spiking.confidence = trade_off.choose_confidence(spiking, original, held)
        spiking.choice = {
            "target": self.optimization_target,
            "confidence": spiking.confidence,
            "samples": samples,
            **row,
        }

    def _is_perfect(self, spiking: SpikingModel) -> bool:
        return spiking.choice["agreement"] == 1.0
