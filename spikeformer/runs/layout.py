"""Where everything lies in a run folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """The paths of a run folder, whether they exist or not.

    Attributes:
        path: The folder.

    Example:
        >>> RunFolder(Path("outputs/run")).checkpoint("best").as_posix()
        'outputs/run/checkpoints/best.ckpt'
    """

    path: Path

    @property
    def config(self) -> Path:
        """The composed configuration, as it is recorded."""
        return self.path / "config.yaml"

    @property
    def overrides(self) -> Path:
        """What the command line changed."""
        return self.path / "overrides.yaml"

    @property
    def environment(self) -> Path:
        """Machine, versions, git state, seed and command."""
        return self.path / "environment.json"

    @property
    def manifest(self) -> Path:
        """The stages."""
        return self.path / "manifest.json"

    @property
    def inputs(self) -> Path:
        """The files that the run read, with their hashes."""
        return self.path / "inputs.json"

    @property
    def sweep(self) -> Path:
        """The command line of a sweep, in the folder of a sweep alone."""
        return self.path / "sweep.yaml"

    @property
    def history(self) -> Path:
        """One row for each epoch."""
        return self.path / "metrics.csv"

    @property
    def report(self) -> Path:
        """The page that a person opens."""
        return self.path / "report.html"

    @property
    def figures(self) -> Path:
        """The report's figures."""
        return self.path / "figures"

    @property
    def hardware(self) -> Path:
        """The spike graph, the compiled network and what verified it."""
        return self.path / "hardware"

    @property
    def finetuned(self) -> Path:
        """The weights that were fine-tuned for the chip."""
        return self.hardware / "finetuned.ckpt"

    @property
    def converted(self) -> Path:
        """The converted network."""
        return self.path / "converted"

    def checkpoint(self, weights: str) -> Path:
        """Return the checkpoint called "last" or "best"."""
        return self.path / "checkpoints" / f"{weights}.ckpt"

    def result(self, name: str) -> Path:
        """Return a file of results, as in `result("test.json")`."""
        return self.path / "results" / name
