"""What the documentation's code finds when it runs."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from spikeformer.cli import compose as composed
from spikeformer.i18n import use_locale
from spikeformer.pipeline import run_pipeline
from spikeformer.reporting import SECTIONS
from tests.commands import SMALL


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder as `python train.py` leaves it, of a very small network."""
    folder = tmp_path_factory.mktemp("docs") / "outputs" / "2026-01-31" / "12-00-00-first"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        run_pipeline(composed(*SMALL, "debug=fast", "logger=none", "name=first"), folder)
    return folder


@pytest.fixture
def workplace(
    tmp_path: Path,
    finished_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    own_technologies: None,
    no_figure_files: None,
) -> Iterator[Path]:
    """An empty working folder with one finished run in `outputs`, on the import path."""
    (tmp_path / "outputs").symlink_to(finished_run.parents[1])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    # What a page registers is gone after it.
    store = ConfigStore.instance()
    monkeypatch.setattr(store, "repo", copy.deepcopy(store.repo))
    sections = dict(SECTIONS)
    before = set(sys.modules)
    with use_locale("en"):
        yield tmp_path
    SECTIONS.clear()
    SECTIONS.update(sections)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
