from __future__ import annotations

import pytest

from tests.profiling.fake_rapl import FakeRapl


@pytest.fixture
def rapl(tmp_path, monkeypatch) -> FakeRapl:
    """Counters of one CPU package, its cores and its memory."""
    from pyJoules.device import rapl_device

    tree = FakeRapl(tmp_path)
    monkeypatch.setattr(rapl_device, "RAPL_API_DIR", str(tree.root))
    return tree


@pytest.fixture
def no_rapl(tmp_path, monkeypatch) -> None:
    """A machine without counters."""
    from pyJoules.device import rapl_device

    monkeypatch.setattr(rapl_device, "RAPL_API_DIR", str(tmp_path / "nothing"))
