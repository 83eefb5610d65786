"""The networks that come with the package, and what a saved network tells of its run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikeformer.error_handling import ConfigurationError
from spikeformer.files import UnreadableFileError, read_json

BUNDLED = Path(__file__).parents[1] / "pretrained"
"""Folders of the networks that come with the package."""

NETWORK = ("timesteps", "encoding", "neuron", "attention", "data", "task", "loss", "model")
"""Keys of a configuration that make the network and its data, those first that others refer to."""


@dataclass(frozen=True)
class RunRecord:
    """What a network remembers of the run that trained it, for the command line.

    Attributes:
        name: The run's name.
        choices: Its options of the config groups among `NETWORK`.
        settings: What it recorded under the keys of `NETWORK`, plain values.
        results: Its accuracy and other numbers, by name.
    """

    name: str = ""
    choices: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    results: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _WithRun:
    run: RunRecord | None = None


def pretrained_names() -> list[str]:
    """Return the names of the networks that come with the package."""
    return sorted(path.parent.name for path in BUNDLED.glob("*/config.json"))


def bundled(name: str) -> Path | None:
    """Return the folder of a network that comes with the package; None if there is none."""
    return BUNDLED / name if name in pretrained_names() else None


def run_of_network(folder: Path) -> RunRecord | None:
    """Return what a saved network tells of its run; None if it tells nothing.

    Raises:
        ConfigurationError: Its `config.json` cannot be read.
    """
    try:
        return read_json(folder / "config.json", _WithRun).run
    except FileNotFoundError:
        return None
    except UnreadableFileError as error:
        raise ConfigurationError(str(error)) from error
