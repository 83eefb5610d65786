"""What a run left in its folder, as typed Python objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from spikeformer.i18n import t
from spikeformer.profiling import ComparisonRow, Range
from spikeformer.runs import reading
from spikeformer.runs.layout import RunFolder
from spikeformer.runs.manifest import Manifest, StageRecord
from spikeformer.runs.reading import ResultsError
from spikeformer.runs.results.hardware import HardwareResults, VerificationResults
from spikeformer.runs.results.sample import SampleResults
from spikeformer.runs.results.test import TestResults


@dataclass(frozen=True)
class EnergyResults:
    """What the profile stage found for one sample of the test split.

    Attributes:
        metrics: Energies in µJ, operations, `kind` ("estimate" or "measured"), `source` and so on.
        layers: Modelled energy in µJ by layer, in network order.
        table: One record for each layer: its kind, operations and energies.
        comparison: The network beside its ANN and quantised baselines.
        verdict: Sentences on who wins.
        comparison_source: Publications behind the comparison.
        uncovered: Operations that the technology cannot run, by layer; they are in no energy.
        unpriced: Values that went through operations without a published energy.
        uncounted: Layers with weights of which nothing was counted.
    """

    metrics: dict[str, Any]
    layers: dict[str, Range]
    table: list[dict[str, Any]]
    comparison: list[ComparisonRow]
    verdict: list[str]
    comparison_source: str
    uncovered: dict[str, float]
    unpriced: dict[str, int]
    uncounted: list[str]


@dataclass(frozen=True)
class RunResults:
    """Everything a run folder tells; what it does not hold is None or empty.

    Attributes:
        folder: The run folder.
        name: The run's name, from the manifest or else from the folder.
        created: When the run started, as the manifest writes it.
        stages: The pipeline's stages in their order.
        history: One row per epoch, columns such as `epoch`, `train/loss`, `val/accuracy`, `lr`.
        test: Measurements over the test split.
        energy: What a sample takes, if a profiler was chosen.
        sample: One test sample traced through the network.
        hardware: What the deploy stage measured on a chip.
        verification: How the spike graph compares with the network.
        validation: What the validate stages found, as they wrote it, before and after training.
        config: The composed configuration.
        config_text: The same as the YAML text that was saved.
        overrides: What the user changed on the command line.
        environment: Machine, package versions, git state, seed and command.
        cache: How often the caches had the answer, if the run used them.
        privacy: Whose data the run used, by pseudonym, if it asked for consents.
    """

    folder: Path
    name: str
    created: str | None = None
    stages: dict[str, StageRecord] = field(default_factory=dict)
    history: pd.DataFrame | None = None
    test: TestResults | None = None
    energy: EnergyResults | None = None
    sample: SampleResults | None = None
    hardware: HardwareResults | None = None
    verification: VerificationResults | None = None
    validation: list[dict[str, Any]] = field(default_factory=list)
    config: dict[str, Any] | None = None
    config_text: str | None = None
    overrides: list[str] = field(default_factory=list)
    environment: dict[str, Any] | None = None
    cache: dict[str, Any] | None = None
    privacy: dict[str, Any] | None = None


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
        test=TestResults.load(files),
        energy=_energy(files.result("energy.json")),
        sample=SampleResults.load(files),
        hardware=HardwareResults.load(files),
        verification=VerificationResults.load(files),
        validation=_validation(folder / "results"),
        config=config,
        config_text=config_text,
        overrides=reading.yaml_list(files.overrides),
        environment=reading.json_object(files.environment),
        cache=(manifest.cache if manifest else None) or None,
        privacy=reading.json_object(files.result("privacy.json")),
    )


def _validation(folder: Path) -> list[dict[str, Any]]:
    found = []
    for key, name in (
        ("reporting.before_training", "validation"),
        ("reporting.after_training", "validation_trained"),
    ):
        path = folder / f"{name}.json"
        content = reading.json_object(path)
        if content is None:
            continue
        results = content.get("results")
        if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
            expected, reason = t("reporting.kind_validation"), t("reporting.results_no_list")
            raise reading.broken(path, expected, reason)
        found += [{**each, "when": t(key), "run_level": content.get("level")} for each in results]
    return found


def _energy(path: Path) -> EnergyResults | None:
    data = reading.json_object(path)
    if data is None:
        return None
    try:
        rows = [
            ComparisonRow(
                **{
                    **row,
                    "energy_uj": Range(**row["energy_uj"]),
                    "breakdown": {key: Range(**part) for key, part in row["breakdown"].items()},
                }
            )
            for row in data["comparison"]
        ]
        modelled = data["modelled"]
        return EnergyResults(
            metrics=dict(data["metrics"]),
            layers={name: Range(**part) for name, part in modelled["layers"].items()},
            table=list(data["layers"]),
            comparison=rows,
            verdict=list(data["verdict"]),
            comparison_source=str(data["comparison_source"]),
            uncovered=dict(modelled["uncovered"]),
            unpriced=dict(data["unpriced"]),
            uncounted=list(data["uncounted"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise reading.broken(path, t("reporting.kind_profile"), repr(error)) from error
