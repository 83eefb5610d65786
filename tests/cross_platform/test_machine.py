from __future__ import annotations

import psutil
import pytest

from spikeformer.cross_platform import GIB
from spikeformer.cross_platform import machine as machine_module
from spikeformer.cross_platform.cgroups import CgroupLimits, read_limits
from spikeformer.cross_platform.machine import (
    Memory,
    in_words,
    rapl_packages,
    readable_counters,
    usable_cores,
    usable_memory,
)
from tests.cross_platform.trees import grow, v1, v2

MACHINE = Memory(64 * GIB, 32 * GIB)


@pytest.mark.parametrize(
    ("quota", "visible", "cores"),
    [(None, 6, 6), (2.5, 6, 2), (16.0, 6, 6), (0.5, 6, 1), (1.0, 1, 1)],
)
def test_usable_cores(quota, visible, cores):
    assert usable_cores(CgroupLimits(cores=quota), visible) == cores


def test_usable_memory_counts_cached_files_as_free(tmp_path):
    stat = f"anon 5\ninactive_file {GIB}\nfile_mapped 3"
    files = v2(memory_max=f"{4 * GIB}", memory_current=f"{3 * GIB}", memory_stat=stat)
    memory = usable_memory(read_limits(grow(tmp_path / "v2", files)), MACHINE)
    assert (memory.total, memory.available) == (4 * GIB, 2 * GIB)
    stat = f"total_inactive_file {GIB}"
    files = v1("/x", memory=f"{8 * GIB}", usage=f"{3 * GIB}", stat=stat)
    assert usable_memory(read_limits(grow(tmp_path / "v1", files)), MACHINE).available == 6 * GIB


def test_usable_memory_is_never_more_than_the_machine_has():
    limits = CgroupLimits(memory_bytes=900 * GIB)
    assert usable_memory(limits, MACHINE) == MACHINE
    assert in_words(limits) == ("900 GiB",)


def test_usable_memory_without_a_container_is_the_machine_s():
    assert usable_memory(CgroupLimits(), MACHINE) == MACHINE
    assert usable_memory(CgroupLimits()).total == psutil.virtual_memory().total
    assert in_words(CgroupLimits()) == ()


def test_readable_counters_leave_out_those_of_root_alone(tmp_path, monkeypatch):
    grow(tmp_path, {"sys/class/powercap/intel-rapl:0/energy_uj": "5"})
    monkeypatch.setattr(machine_module, "_nvml_responds", lambda: False)
    assert readable_counters(tmp_path) == ("rapl",)
    monkeypatch.setattr(machine_module.os, "access", lambda path, mode: False)
    assert readable_counters(tmp_path) == ()
    assert len(rapl_packages(tmp_path)) == 1
