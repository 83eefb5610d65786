from __future__ import annotations

import sys

import pytest

from spikeformer.error_handling import MissingDependencyError
from spikeformer.profiling.metering import CpuTimeCounter, NvmlCounter, RaplCounter


def test_cpu_time_is_a_proxy():
    counter = CpuTimeCounter(watts_per_core=20.0)
    sum(range(3_000_000))
    energy = counter.read()
    assert 0 < energy < 20 * 60
    assert counter.kind == "proxy"
    assert "20 W for a busy core (assumed)" in counter.source


@pytest.mark.parametrize(
    ("package", "counter"),
    [("pyJoules.device", RaplCounter), ("pynvml", NvmlCounter)],
)
def test_a_missing_package_is_named(package, counter, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=r"spikeformer\[energy\]"):
        counter()
