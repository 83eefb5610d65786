"""The validator: one object that looks at networks, data and chips."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from spikeformer.config import registered
from spikeformer.data.batch import Inputs, num_samples, split_if_labelled, unlabelled
from spikeformer.error_handling import ArgumentError
from spikeformer.hardware import InputShape, Lowered, NeuromorphicDeployer
from spikeformer.validation import checks as _checks  # noqa: F401  registers them
from spikeformer.validation.checks.splits import targets_of
from spikeformer.validation.data import (
    InputSubject,
    SplitsSubject,
    TargetSubject,
    fingerprints,
)
from spikeformer.validation.probe import ModelSubject, ModesSubject
from spikeformer.validation.registry import run_checks
from spikeformer.validation.result import RUN_LEVELS, ValidationLevel, ValidationResult
from spikeformer.validation.targets import HardwareSubject, deployer_for

SAMPLES = {
    ValidationLevel.BASIC: 512,
    ValidationLevel.STANDARD: 4096,
    ValidationLevel.STRICT: 65536,
    ValidationLevel.COMPREHENSIVE: None,
}
"""Samples of each split that are looked at; None takes all."""


@registered
class ComprehensiveValidator:
    """Looks for what is wrong with a network, its data, or a chip as its target.

    BASIC reads parameters, structure, shapes, types and ranges; STANDARD runs the network on probe
    data and compares the splits; STRICT adds membranes, gradients through layers and through time,
    hidden state, balance, repeated samples and rounding; COMPREHENSIVE looks at all samples and
    reports harmless things too.

    Args:
        validation_level: How much is looked at, one of `RUN_LEVELS` or its name.

    Raises:
        ArgumentError: The level is none of these.

    Example:
        >>> from spikeformer.neurons import LifNeuron
        >>> model = nn.Sequential(nn.Linear(4, 8), LifNeuron())
        >>> nn.init.zeros_(model[0].weight) is not None
        True
        >>> for result in ComprehensiveValidator().validate_model(model):
        ...     print(result.level.value, result.location, result.message)
        ...     break
        warning 0 All weights are zero.
    """

    def __init__(self, validation_level: ValidationLevel = ValidationLevel.STANDARD) -> None:
        try:
            level = ValidationLevel(validation_level)
        except ValueError:
            level = ValidationLevel.INFO
        if level not in RUN_LEVELS:
            names = ", ".join(repr(each.value) for each in RUN_LEVELS)
            raise ArgumentError("validation_level", validation_level, f"one of {names}")
        self.validation_level = level
        self._model: weakref.ref[nn.Module] | None = None

    def validate_model(
        self, model: nn.Module, *, probe: Inputs | None = None
    ) -> list[ValidationResult]:
        """Return what is wrong with a network; it is not changed.

        Args:
            model: The network.
            probe: A batch to run it on; None makes one up, where the network says what it takes.
        """
        self._model = weakref.ref(model)
        return run_checks(ModelSubject(model, unlabelled(probe)), self.validation_level)

    def validate_modes(
        self, model: nn.Module, data: Inputs, *, targets: Tensor | None = None
    ) -> list[ValidationResult]:
        """Return whether a trained network does in evaluation what it did in training.

        Firing rate and accuracy on the same samples are compared, once with batch norms in training
        mode and once with their running statistics. The network is not changed.

        Args:
            model: The network.
            data: A batch of its data, mixed as one for training: statistics of a single class are
                others.
            targets: Their classes (samples,); None compares firing rates alone, and so do other
                targets.
        """
        if targets is None and isinstance(data, Mapping):
            targets = split_if_labelled(data)[1]
        return run_checks(ModesSubject(model, unlabelled(data), targets), self.validation_level)

    def validate_input_data(
        self,
        data: Inputs,
        *,
        targets: Tensor | None = None,
        num_classes: int | None = None,
        model: nn.Module | None = None,
    ) -> list[ValidationResult]:
        """Return what is wrong with a batch.

        Args:
            data: Inputs (samples, ...), or named tensors as a network takes them, perhaps with an
                entry "labels".
            targets: Their classes (samples,), or values; None takes the labels, if there are any.
            num_classes: Number of classes, if there are any.
            model: The network that will get them; None takes the one validated last, if any.
        """
        if targets is None and isinstance(data, Mapping):
            targets = split_if_labelled(data)[1]
        data = unlabelled(data)
        subject = InputSubject(data, model or self._last())
        found = run_checks(subject, self.validation_level)
        if targets is not None:
            samples = num_samples(data)
            broken = any(each.level is ValidationLevel.CRITICAL for each in found)
            prints = None if broken else fingerprints(data)
            about = TargetSubject(targets, samples, num_classes, prints, "targets")
            found += run_checks(about, self.validation_level)
        return found

    def validate_splits(
        self,
        splits: Any,
        *,
        num_classes: int | None = None,
        batch_size: int = 1,
        model: nn.Module | None = None,
    ) -> list[ValidationResult]:
        """Return what is wrong with the splits of a data set, each and side by side.

        Args:
            splits: A data module's `Splits`, or anything with `train`, `val` and `test`.
            num_classes: Number of classes, if there are any.
            batch_size: Samples of a training batch.
            model: The network that will get them; None takes the one validated last, if any.
        """
        subject = SplitsSubject(splits, SAMPLES[self.validation_level], batch_size)
        found = run_checks(subject, self.validation_level)
        for name, sample in subject.samples.items():
            inputs = InputSubject(sample.inputs, model or self._last())
            found += [_within(name, result) for result in run_checks(inputs, self.validation_level)]
        for about in targets_of(subject, num_classes):
            found += run_checks(about, self.validation_level)
        return found

    def validate_hardware_compatibility(
        self,
        hardware_type: str | NeuromorphicDeployer,
        *,
        model: nn.Module | None = None,
        input_shape: InputShape | None = None,
        lowered: Lowered | None = None,
    ) -> list[ValidationResult]:
        """Return what stands between a network and a chip.

        Args:
            hardware_type: The deployer that will bring it there, or one of `hardware_names()`.
            model: The network; None takes the one validated last, and the toolchain alone if none
                was.
            input_shape: Shape of one sample; None takes it from the network, if it knows.
            lowered: The network as a spike graph, if the deployer has made it already.

        Raises:
            ArgumentError: There is no such hardware.
        """
        deployer = deployer_for(hardware_type) if isinstance(hardware_type, str) else hardware_type
        subject = HardwareSubject(deployer, model or self._last(), input_shape, lowered)
        return run_checks(subject, self.validation_level)

    def _last(self) -> nn.Module | None:
        return None if self._model is None else self._model()


def _within(split: str, result: ValidationResult) -> ValidationResult:
    location = f"{split}, {result.location}" if result.location else split
    return ValidationResult(result.level, result.message, location, result.remedy, result.value)
