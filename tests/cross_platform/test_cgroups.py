"""Limits of containers, read from trees that look like those of Linux."""

from __future__ import annotations

import pytest

from spikeformer.cross_platform import GIB
from spikeformer.cross_platform._cgroups import read_limits
from spikeformer.cross_platform._machine import in_words, usable_cores, usable_memory
from tests.cross_platform.trees import grow

MEMINFO = {
    "proc/meminfo": "MemTotal:       67108864 kB\nMemAvailable:   33554432 kB\nHugePages: 0\n"
}


def v2(group="/", folder="", **files):
    """A unified hierarchy in which this process lies in `group`; files lie in `folder`."""
    tree = {f"sys/fs/cgroup/{folder}{name.replace('_', '.', 1)}": x for name, x in files.items()}
    return {"proc/self/cgroup": f"0::{group}\n", **tree}


def v1(group, **files):
    tree = {"proc/self/cgroup": f"4:memory:{group}\n3:cpu,cpuacct:{group}\n1:name=systemd:/\n"}
    names = {
        "quota": "cpu{}/cpu.cfs_quota_us",
        "period": "cpu{}/cpu.cfs_period_us",
        "memory": "memory{}/memory.limit_in_bytes",
        "usage": "memory{}/memory.usage_in_bytes",
        "stat": "memory{}/memory.stat",
    }
    for name, text in files.items():
        tree[f"sys/fs/cgroup/{names[name].format(group)}"] = text
    return tree


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


@pytest.mark.parametrize(
    ("quota", "visible", "cores"),
    [(None, 6, 6), (2.5, 6, 2), (16.0, 6, 6), (0.5, 6, 1), (1.0, 1, 1)],
)
def test_usable_cores(tmp_path, quota, visible, cores):
    files = {} if quota is None else v2(cpu_max=f"{int(quota * 100000)} 100000")
    assert usable_cores(read_limits(grow(tmp_path, files)), visible) == cores


def test_cached_files_count_as_free(tmp_path):
    stat = f"anon 5\ninactive_file {GIB}\nfile_mapped 3"
    files = v2(memory_max=f"{4 * GIB}", memory_current=f"{3 * GIB}", memory_stat=stat)
    limits = read_limits(grow(tmp_path, {**files, **MEMINFO}))
    memory = usable_memory(tmp_path, limits)
    assert (memory.total, memory.available) == (4 * GIB, 2 * GIB)
    stat = f"total_inactive_file {GIB}"
    files = v1("/x", memory=f"{8 * GIB}", usage=f"{3 * GIB}", stat=stat)
    limits = read_limits(grow(tmp_path / "v1", files))
    assert usable_memory(tmp_path, limits).available == 6 * GIB


def test_the_machine_limits_too(tmp_path):
    limits = read_limits(grow(tmp_path, {**v2(memory_max=f"{900 * GIB}"), **MEMINFO}))
    memory = usable_memory(tmp_path, limits)
    assert (memory.total, memory.available) == (64 * GIB, 32 * GIB)
    assert in_words(limits) == ("900 GiB",)


def test_without_a_container_the_machine_is_ours(tmp_path):
    memory = usable_memory(grow(tmp_path, MEMINFO), read_limits(tmp_path))
    assert (memory.total, memory.available) == (64 * GIB, 32 * GIB)
    assert in_words(read_limits(tmp_path)) == ()
