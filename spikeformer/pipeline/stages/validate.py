"""Stages that look for what is wrong: before training with data and network, after it with both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from omegaconf import DictConfig

from spikeformer.config import instantiate
from spikeformer.data.batch import as_floats, first
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.i18n import t
from spikeformer.pipeline.ranks import announce
from spikeformer.pipeline.run import Run
from spikeformer.pipeline.stages.hardware import input_shape, lowered_network, make_deployer
from spikeformer.pipeline.stages.stage import Stage
from spikeformer.runs import RunFolder, TrainedValidationResults, ValidationResults
from spikeformer.validation import (
    ComprehensiveValidator,
    ValidationResult,
    stop_on_errors,
)
from spikeformer.validation.data import draw


class Validate(Stage):
    """Looks at the data and the untrained network, and at the chip if there is one.

    What it finds goes to `results/validation.json` and into the report; errors stop the run.
    """

    name = "validate"
    kind: ClassVar[type[ValidationResults]] = ValidationResults
    config_keys = ("validation", "data", "model", "task", "hardware", "seed", "checkpoint")

    def is_wanted(self, config: DictConfig) -> bool:
        """Whether a level is chosen."""
        return bool(config.validation)

    def run(self, run: Run) -> dict[str, Any]:
        """Look, print every finding, and stop at errors."""
        validator: ComprehensiveValidator = instantiate(
            run.config.validation, ComprehensiveValidator, trusted=run.config.trusted_packages
        )
        results = self.kind(validator.validation_level, self.results(run, validator))
        results.save(RunFolder(run.folder))
        for result in results.results:
            announce(self.name, f"{result.level.label}: {result}")
        stop_on_errors(results.results)
        return results.numbers()

    def results(self, run: Run, validator: ComprehensiveValidator) -> list[ValidationResult]:
        """Return what is wrong before training."""
        data, net = run.parts.data, run.parts.module.net
        inputs, _ = next(iter(data.train_dataloader()))
        found = validator.validate_model(net, probe=first(inputs, _SAMPLES))
        found += validator.validate_splits(
            data.splits, num_classes=data.num_classes or None, batch_size=data.batch_size
        )
        if run.config.hardware:
            deployer = make_deployer(run.config)
            shape = input_shape(data.of_one_size(inputs))
            try:
                lowered = lowered_network(deployer, net, shape)
            except HardwareCompatibilityError:
                lowered = None  # the validator says why
            found += validator.validate_hardware_compatibility(
                deployer, model=net, input_shape=shape, lowered=lowered
            )
        return found

    def outputs(self, run: Run) -> list[Path]:
        """Return the findings."""
        return [run.folder / self.kind.file]

    def summary(self, result: Mapping[str, Any]) -> str:
        """Return how much was found."""
        counts = {"pipeline.warnings": result["warning"], "pipeline.remarks": result["info"]}
        parts = [t(key, count=count) for key, count in counts.items() if count]
        level = t("pipeline.checked_at", level=result["level"])
        return ", ".join([level, *(parts or [t("pipeline.nothing_found")])])


class ValidateTrained(Validate):
    """Looks at the trained network while it works on samples that it has not been trained on.

    What fires, what does not, and whether training and evaluation mode agree.

    What it finds goes to `results/validation_trained.json` and into the report; errors stop the
    run, whose checkpoints stay.
    """

    name = "validate_trained"
    kind = TrainedValidationResults

    def results(self, run: Run, validator: ComprehensiveValidator) -> list[ValidationResult]:
        """Return what is wrong after training."""
        net, data = run.trained().cpu(), run.parts.data
        data.setup("test")
        inputs, _ = next(iter(data.test_dataloader()))
        found = validator.validate_model(net, probe=first(inputs, _SAMPLES))
        # Files may lie in the order of their classes; samples of all of them make a batch.
        mixed = draw(data.splits.val or data.splits.test, _MIXED)
        return found + validator.validate_modes(net, as_floats(mixed.inputs), targets=mixed.targets)


_SAMPLES = 32
"""Enough to see what fires."""
_MIXED = 128
"""Enough for an accuracy."""
