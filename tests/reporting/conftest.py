from __future__ import annotations

from pathlib import Path

import pytest

from tests.reporting.synthetic import write_run


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A finished run without its report."""
    return write_run(tmp_path / "run")


@pytest.fixture
def bare_folder(tmp_path: Path) -> Path:
    """A run folder without any file."""
    (tmp_path / "results").mkdir()
    return tmp_path
