from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package for workers, on the path of this process and of those that it starts."""
    folder = tmp_path / "jobs"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return folder
