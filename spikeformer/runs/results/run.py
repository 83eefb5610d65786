"""What a run left in its folder, as typed Python objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikeformer.i18n import t
from spikeformer.runs import reading
from spikeformer.runs.layout import RunFolder
from spikeformer.runs.manifest import Manifest, StageRecord
from spikeformer.runs.reading import ResultsError
from spikeformer.runs.results.baseline import BaselineResults
from spikeformer.runs.results.conversion import ConversionResults
from spikeformer.runs.results.data import DataResults
from spikeformer.runs.results.energy import EnergyResults
from spikeformer.runs.results.examples import ExampleResults
from spikeformer.runs.results.hardware import HardwareResults, PlanResults, VerificationResults
from spikeformer.runs.results.privacy import PrivacyResults
from spikeformer.runs.results.sample import SampleResults
from spikeformer.runs.results.tasks import TaskResults
from spikeformer.runs.results.test import TestResults
from spikeformer.runs.results.training import FitResults, PredictionResults
from spikeformer.runs.results.validation import TrainedValidationResults, ValidationResults

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class RunResults:
    """Everything a run folder tells; what it does not hold is None or empty.

    Attributes:
        folder: The run folder.
        name: The run's name, from the manifest or else from the folder.
        created: When the run started, as the manifest writes it.
        stages: The pipeline's stages in their order.
        history: One row per epoch, columns such as `epoch`, `train/loss`, `val/accuracy`, `lr`.
        data: How the data were prepared: classes, tokens, scale.
        fit: What training came to.
        test: Measurements over the test split.
        energy: What a sample takes, if a profiler was chosen.
        examples: Test samples to look at, the most confident errors first.
        sample: One test sample traced through the network.
        conversion: How a converted network compares with its original.
        predictions: How fast and how well single samples were predicted.
        tasks: Accuracies of continual learning.
        hardware: What the deploy stage measured on a chip.
        plan: The chips that the plan stage estimated.
        verification: How the spike graph compares with the network.
        validation: What the stages "validate" and "validate_trained" found, by their names.
        config: The composed configuration.
        config_text: The same as the YAML text that was saved.
        overrides: What the user changed on the command line.
        environment: Machine, package versions, git state, seed and command.
        cache: How often the caches were hit, if the run used them.
        baseline: An earlier run to compare with, if the report was given one.
        privacy: Whose data the run used, if it asked for consents.
    """

    folder: Path
    name: str
    created: str | None = None
    stages: dict[str, StageRecord] = field(default_factory=dict)
    history: pd.DataFrame | None = None
    data: DataResults | None = None
    fit: FitResults | None = None
    test: TestResults | None = None
    energy: EnergyResults | None = None
    examples: ExampleResults | None = None
    sample: SampleResults | None = None
    conversion: ConversionResults | None = None
    predictions: PredictionResults | None = None
    tasks: TaskResults | None = None
    hardware: HardwareResults | None = None
    plan: PlanResults | None = None
    verification: VerificationResults | None = None
    validation: dict[str, ValidationResults] = field(default_factory=dict)
    config: dict[str, Any] | None = None
    config_text: str | None = None
    overrides: list[str] = field(default_factory=list)
    environment: dict[str, Any] | None = None
    cache: dict[str, Any] | None = None
    baseline: BaselineResults | None = None
    privacy: PrivacyResults | None = None


def load_results(folder: Path | str) -> RunResults:
    r"""Read the files of a run folder, whichever of them exist.

    Args:
        folder: A run folder; the files it may hold are described in the documentation of runs.

    Returns:
        The results, with None or an empty container for every file that is absent.

    Raises:
        ResultsError: If the folder does not exist, or a file in it cannot be read; the message
            names the file.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "metrics.csv").write_text("epoch,train/loss\n0,2.3\n1,1.7\n")
        >>> results = load_results(folder)
        >>> results.history["train/loss"].tolist(), results.test is None
        ([2.3, 1.7], True)
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ResultsError(t("reporting.no_folder", folder=folder))
    files = RunFolder(folder)
    manifest = Manifest.open(folder, folder.resolve().name) if files.manifest.exists() else None
    config, config_text = reading.yaml_mapping(files.config)
    return RunResults(
        folder=folder,
        name=manifest.name if manifest else folder.resolve().name,
        created=manifest.created if manifest else None,
        stages=manifest.stages if manifest else {},
        history=reading.history(files.history),
        data=DataResults.load(files),
        fit=FitResults.load(files),
        test=TestResults.load(files),
        energy=EnergyResults.load(files),
        conversion=ConversionResults.load(files),
        predictions=PredictionResults.load(files),
        tasks=TaskResults.load(files),
        examples=ExampleResults.load(files),
        sample=SampleResults.load(files),
        hardware=HardwareResults.load(files),
        plan=PlanResults.load(files),
        verification=VerificationResults.load(files),
        validation=_validation(files),
        config=config,
        config_text=config_text,
        overrides=reading.yaml_list(files.overrides),
        environment=reading.json_object(files.environment),
        cache=(manifest.cache if manifest else None) or None,
        baseline=BaselineResults.load(files),
        privacy=PrivacyResults.load(files),
    )


def _validation(files: RunFolder) -> dict[str, ValidationResults]:
    found = {
        "validate": ValidationResults.load(files),
        "validate_trained": TrainedValidationResults.load(files),
    }
    return {stage: results for stage, results in found.items() if results is not None}
