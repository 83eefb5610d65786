"""Limits of containers, read from trees that look like those of Linux."""

from __future__ import annotations

import pytest

from spikeformer.cross_platform import GIB
from spikeformer.cross_platform.cgroups import read_limits
from tests.cross_platform.trees import grow, v1, v2


@pytest.mark.parametrize(
    ("files", "cores", "memory"),
    [
        ({}, None, None),
        (v2(cpu_max="max 100000\n", memory_max="max\n"), None, None),
        (v2(cpu_max="250000 100000\n"), 2.5, None),
        (v2(memory_max=f"{4 * GIB}\n"), None, 4 * GIB),
        # The group has the host's name, which a container does not see.
        (v2("/docker/abc", cpu_max="50000 100000"), 0.5, None),
        (v2("/a/b", "a/b/", cpu_max="400000 100000", memory_max=f"{GIB}"), 4.0, GIB),
        (v1("/docker/x", quota="150000", period="100000", memory=f"{2 * GIB}"), 1.5, 2 * GIB),
        (v1("/docker/x", quota="-1", period="100000", memory="9223372036854771712"), None, None),
    ],
    ids=["nothing", "max", "quota", "memory", "host name", "nested", "v1", "v1 without limits"],
)
def test_limits(tmp_path, files, cores, memory):
    limits = read_limits(grow(tmp_path, files))
    assert (limits.cores, limits.memory_bytes) == (cores, memory)


def test_the_tightest_limit_on_the_way_up_counts(tmp_path):
    grow(tmp_path, v2("/a/b", "a/b/", cpu_max="800000 100000", memory_max=f"{8 * GIB}"))
    grow(tmp_path, v2("/a/b", "a/", cpu_max="300000 100000", memory_max=f"{9 * GIB}"))
    limits = read_limits(tmp_path)
    assert (limits.cores, limits.memory_bytes) == (3.0, 8 * GIB)
