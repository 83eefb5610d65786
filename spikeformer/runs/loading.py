"""A finished run, back in a notebook."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from spikeformer.config import NETWORK, RunRecord, pretrained_names, read_config
from spikeformer.conversion import load_converted
from spikeformer.data import Preparation, SpikingDataModule
from spikeformer.error_handling import ConfigurationError, check_choice
from spikeformer.i18n import t
from spikeformer.models.hub import HubMixin
from spikeformer.models.network import SavedNetwork, TrainedOn
from spikeformer.runs.card import model_card
from spikeformer.runs.layout import RunFolder
from spikeformer.runs.manifest import Manifest
from spikeformer.runs.network import (
    RECALIBRATED,
    build_network,
    choose_checkpoint,
    load_weights,
)
from spikeformer.runs.results import RunResults, load_results
from spikeformer.runs.summary import RunSummary, summarize_runs
from spikeformer.runs.sweep import summarize_sweep
from spikeformer.training import TrainingHistory


@dataclass
class LoadedRun:
    """A run folder in memory.

    Attributes:
        folder: The run folder.
        config: The configuration it was made with.
        network: The network with its trained weights, in evaluation mode.
        results: What its stages found.
        history: What happened in each epoch; empty if it trained nothing.
        manifest: Its stages.
    """

    folder: Path
    config: DictConfig
    network: nn.Module
    results: RunResults
    history: TrainingHistory
    manifest: Manifest

    def data(self, **changes: Any) -> SpikingDataModule:
        """Return the run's data module, or other data prepared as those of its training.

        Args:
            **changes: Arguments of the data module that differ, as `path="/other/data"`.

        Raises:
            ConfigurationError: There is no such argument.

        Example:
            >>> run = load_run("outputs/2026-01-31/12-00-00-run")  # doctest: +SKIP
            >>> data = run.data(path="new.csv")                    # doctest: +SKIP
            >>> data.setup()                                       # doctest: +SKIP
        """
        settings = OmegaConf.merge(self.config.data, changes)
        return self._trained_on(settings).data(trusted=self.config.trusted_packages)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the run's network into a folder that `from_pretrained` reads.

        With it go the settings of its data, their classes, tokens and scale, and a model card
        written from the run's records (`model_card`).

        Args:
            folder: Where to; made if it is not there.

        Raises:
            ConfigurationError: The network cannot be described in a file.
        """
        return self._for_the_hub().save_pretrained(folder, card=model_card(self, Path(folder).name))

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload what `save_pretrained` writes to the Hugging Face hub.

        Args:
            repo_id: The repository, as "owner/name".
            **options: Further arguments of `SpikingNetwork.push_to_hub`.

        Returns:
            Address of the commit.
        """
        card = model_card(self, repo_id)
        return self._for_the_hub().push_to_hub(repo_id, card=card, **options)

    def _for_the_hub(self) -> HubMixin:
        if not isinstance(self.network, HubMixin):
            raise ConfigurationError(
                "Expected a SpikingNetwork, a MultiModalNetwork or a converted network, but the run"
                f" in {self.folder}"
                f" made a {type(self.network).__name__}. Save its `state_dict`."
            )
        return self.network

    def _trained_on(self, settings: DictConfig | ListConfig | None = None) -> TrainedOn:
        node = OmegaConf.to_container(settings or self.config.data, resolve=True)
        assert isinstance(node, dict)
        return TrainedOn(
            {str(key): value for key, value in node.items()},
            self.results.data or Preparation(),
        )

    def __post_init__(self) -> None:
        """Tell the network of the run that made it."""
        if isinstance(self.network, SavedNetwork):
            trained_on = self._trained_on()
            settings = {k: v for k, v in trained_on.settings.items() if k not in _OF_A_MACHINE}
            prepared = trained_on.preparation  # a run's says more, of its split for one
            given = Preparation(**{e.name: getattr(prepared, e.name) for e in fields(Preparation)})
            self.network.trained_on = TrainedOn(settings, given)
            self.network.run = _record(self)


_OF_A_MACHINE = ("path", "cache_dir", "num_workers", "memory_limit_gib")
"""Settings of data that say nothing of the network."""


def _record(run: LoadedRun) -> RunRecord:
    """Return what a network remembers of its run."""
    told = run.manifest.choices
    plain = OmegaConf.to_container(run.config, resolve=True)
    assert isinstance(plain, dict)
    settings = {key: plain[key] for key in NETWORK if key in plain}
    settings["data"] = {k: v for k, v in settings["data"].items() if k not in _OF_A_MACHINE}
    results = {"parameters": float(sum(p.numel() for p in run.network.parameters()))}
    if run.results.test is not None and "accuracy" in run.results.test.metrics:
        results["accuracy"] = run.results.test.metrics["accuracy"]
    choices = {group: told[group] for group in NETWORK if group in told}
    return RunRecord(run.results.name, choices, settings, results)


@dataclass
class LoadedSweep(LoadedRun):
    """A sweep's best run in memory, and what came out of all of its runs.

    Attributes:
        runs: All runs, newest first.
        objective: By what the best was chosen, as in "maximize fit.val/accuracy".
    """

    runs: list[RunSummary]
    objective: str


def load_run(
    path: str | Path, weights: str = "last", *, trusted: Collection[str] = ()
) -> LoadedRun:
    """Load what `python train.py` left in a run folder, of whatever kind the run is.

    The network is the one that the run trained, or converted, or else that of the checkpoint which
    it was given. A sweep's folder gives a `LoadedSweep`: its best run by the first of the sweep's
    objectives, or by validation accuracy, validation loss, accuracy of the converted network,
    test accuracy or energy, whichever its runs have first.

    Args:
        path: The folder of a run or of a sweep.
        weights: "last" or "best", of a run that trained; "finetuned" for those that were tuned
            for a chip. The last ones have the statistics of batch norms that the run's own stages
            worked with (`RecalibrateBatchNorm`).
        trusted: Packages of your own that the run's configuration may name. What the folder itself
            says of trust does not count: it may be a stranger's.

    Raises:
        ConfigurationError: The folder holds no run, the weights or a number by which to choose a
            sweep's best run are absent, or a file cannot be read. The message names what is
            missing.
        ConversionError: The converted network is absent or cannot be read.

    Example:
        >>> run = load_run("outputs/2026-01-31/12-00-00-run")  # doctest: +SKIP
        >>> run.network(images).mean(dim=1).argmax(dim=-1)       # doctest: +SKIP
    """
    files = RunFolder(Path(path))
    check_choice("weights", weights, ("last", "best", "finetuned"))
    if not files.config.is_file():
        if files.sweep.is_file():
            return _load_sweep(files.path, weights, trusted)
        network = str(path) in pretrained_names() or (files.path / "config.json").is_file()
        key = "pipeline.network_no_run" if network else "pipeline.no_run_folder"
        raise ConfigurationError(t(key, folder=files.path))
    config = read_config(files.config)
    config.trusted_packages = list(trusted)
    results = load_results(files.path)
    rows: list[Any] = [] if results.history is None else results.history.to_dict("records")
    # An empty cell is a number that its epoch did not measure.
    epochs = [{name: x for name, x in row.items() if x == x} for row in rows]
    return LoadedRun(
        files.path,
        config,
        _load_network(files, config, weights, "convert" in results.stages).eval(),
        results,
        TrainingHistory(epochs),
        Manifest.open(files.path, config.get("name", files.path.name)),
    )


def _load_sweep(folder: Path, weights: str, trusted: Collection[str]) -> LoadedSweep:
    sweep = summarize_sweep(folder)
    run = load_run(sweep.best_runs[0].folder, weights, trusted=trusted)
    return LoadedSweep(**vars(run), runs=summarize_runs(folder), objective=sweep.objective)


def _load_network(files: RunFolder, config: DictConfig, weights: str, converts: bool) -> nn.Module:
    if converts or files.converted.is_dir():
        return load_converted(files.converted)
    checkpoint = choose_checkpoint(files, config, _newest(files, config, weights))
    try:
        model = build_network(config)
    except OmegaConfBaseException as error:
        reason = str(error).partition("\n")[0]
        raise ConfigurationError(f"{files.config}: {reason}") from error
    load_weights(model, checkpoint)
    return model


def _newest(files: RunFolder, config: DictConfig, weights: str) -> str:
    """Return "recalibrated" for "last" where the run's stages worked with those weights."""
    stages = OmegaConf.select(config, "pipeline.stages")
    targets = [
        OmegaConf.select(stage, "_target_") for stage in stages or () if OmegaConf.is_dict(stage)
    ]
    asked = any(str(target).endswith(".RecalibrateBatchNorm") for target in targets)
    there = files.checkpoint(RECALIBRATED).is_file()
    return RECALIBRATED if weights == "last" and asked and there else weights
