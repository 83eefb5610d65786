"""The stage that writes the report."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lightning.pytorch.loggers import WandbLogger

from spikeformer.pipeline.run import Run
from spikeformer.pipeline.stages.stage import Stage
from spikeformer.reporting import build_report
from spikeformer.runs import find_baseline, load_run


def artifact_of(run: Run) -> Any:
    """Return W&B's artifact of a run: its network with the model card, and its report.

    Raises:
        ConfigurationError: The run has no network that `save_pretrained` writes.
    """
    import wandb

    # W&B takes no other signs.
    artifact = wandb.Artifact(re.sub(r"[^\w.-]+", "-", run.config.name), type="model")
    with TemporaryDirectory() as folder:
        trusted = run.config.trusted_packages
        load_run(run.folder, trusted=trusted).save_pretrained(folder)
        artifact.add_dir(folder)  # copies
    artifact.add_file(str(run.files.report))
    return artifact


class Report(Stage):
    """Writes `report.html` and `figures/`, and sends the figures to W&B."""

    name = "report"
    takes_data = False
    config_keys = ("locale", "name", "report")

    def check(self, run: Run) -> None:
        """Refuse a baseline that is no run.

        Raises:
            ResultsError: It is none.
        """
        if run.config.report.baseline:
            find_baseline(run.config.report.baseline)

    def run(self, run: Run) -> dict[str, Any]:
        """Write the page; return where it is."""
        if run.config.report.baseline:
            find_baseline(run.config.report.baseline).save(run.files)
        page = build_report(run.folder)
        caches = run.parts.services.caches
        for logger in run.parts.loggers:
            if caches is not None:
                logger.log_metrics({"cache/hit_rate": caches.stats.hit_rate})
            if isinstance(logger, WandbLogger):
                pictures = sorted((run.folder / "figures").glob("*.png"))
                for picture in pictures:
                    logger.log_image(f"figures/{picture.stem}", [str(picture)])
                if run.config.report.artifact:
                    logger.experiment.log_artifact(artifact_of(run))
                logger.experiment.finish()
        return {"path": page.name, "folder": str(run.folder)}

    def outputs(self, run: Run) -> list[Path]:
        """Return the page."""
        return [run.folder / "report.html"]

    def summary(self, result: Mapping[str, Any]) -> str:
        """Return the path of the page."""
        return str(Path(result["folder"]) / result["path"])
