"""A sweep's record of itself, and each of its children as a command of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import InterpolationResolutionError

from spikeformer.config import as_typed, masked
from spikeformer.files import read_yaml, write_text

SWEEP_FILE = "sweep.yaml"
"""The command line of a sweep, in its folder."""

_OF_RANKS = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


_started: list[Path] = []
"""Folders of the sweeps that this process has started."""


class PrepareSweep(Callback):
    """Makes a sweep resumable before its first child starts."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Write the sweep's overrides into its folder."""
        given = config.hydra.overrides
        kept = [
            o
            for o in (*as_typed(given.hydra), *as_typed(given.task))
            if not o.startswith("hydra.mode=")
        ]
        try:
            folder = Path(config.hydra.sweep.dir)
        except InterpolationResolutionError:
            return  # Hydra meets it again, and there it is no mere warning
        if (folder / SWEEP_FILE).exists():
            read_yaml(folder / SWEEP_FILE, list[str])  # else it is somebody's, and stays
        write_text(
            folder / SWEEP_FILE,
            OmegaConf.to_yaml(OmegaConf.create([masked(each) for each in kept])),
        )
        _started.append(folder)


@contextmanager
def with_page_of_sweep() -> Iterator[None]:
    """Write the page of a sweep that ends inside, also of one of whose children some failed."""
    _started.clear()
    try:
        yield
    finally:
        if not isinstance(sys.exception(), KeyboardInterrupt):
            for folder in _started:
                _write_page(folder)


def _write_page(folder: Path) -> None:
    from spikeformer.pipeline.ranks import announce  # brings torch
    from spikeformer.reporting import build_sweep_page
    from spikeformer.runs import ResultsError

    try:
        announce("report", str(build_sweep_page(folder)))
    except ResultsError as error:
        announce("report", str(error))


@contextmanager
def as_a_command_of_its_own() -> Iterator[None]:
    """Make a sweep's child look like `python -m spikeformer` with the child's overrides.

    Lightning starts further ranks by repeating the process's command line. A sweep's would start
    the sweep again, with its first child's values, or whatever program a launcher runs its
    children in; so every rank gets the overrides and the folder of this child. What Lightning
    leaves in the environment would keep the next child from starting ranks at all.
    """
    hydra_config: Any = HydraConfig.get()
    if hydra_config.mode != RunMode.MULTIRUN:
        yield
        return
    main = sys.modules["__main__"]
    argv, spec = sys.argv, main.__spec__
    environment = {name: os.environ.get(name) for name in _OF_RANKS}
    with read_write(hydra_config), open_dict(hydra_config):
        hydra_config.run.dir = hydra_config.runtime.output_dir
    sys.argv = ["spikeformer", *_command(hydra_config)]
    main.__spec__ = find_spec("spikeformer.__main__")
    try:
        yield
    finally:
        sys.argv, main.__spec__ = argv, spec
        for name, value in environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _command(hydra_config: Any) -> list[str]:
    """Return the arguments that compose this child's configuration."""
    folders = [s.path for s in hydra_config.runtime.config_sources if s.provider == "command-line"]
    flags = [word for folder in folders for word in ("--config-dir", folder)]
    search = [o for o in as_typed(hydra_config.overrides.hydra) if o.startswith("hydra.searchpath")]
    return [*flags, *search, *as_typed(hydra_config.overrides.task)]
