from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from spikeformer.ops import keep_freed_memory
from spikeformer.ops.memory import empty_like

FAULTS = """
import resource, sys, torch
from spikeformer.ops import keep_freed_memory
from spikeformer.ops.memory import empty_like
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def step():
    blocks = [torch.ones(2 << 20) for _ in range(8)]
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's setting")
def test_freed_memory_is_used_again():
    def faults(mode):
        command = [sys.executable, "-c", FAULTS, mode]
        # Left alone, glibc moves its threshold by what was freed, and sometimes keeps blocks too.
        environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(128 << 10)}
        done = subprocess.run(command, capture_output=True, check=True, env=environment)
        return int(done.stdout)

    # How many pages one fault brings in is the kernel's choice.
    assert faults("keep") < faults("leave") / 8


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, None])
def test_large_outputs_start_a_cache_line(dtype):
    like = torch.empty(0, dtype=torch.float16)
    for size in (1 << 20, (1 << 20) + 1):
        out = empty_like(like, (size, 3), dtype)
        assert (out.shape, out.dtype) == ((size, 3), dtype or torch.float16)
        assert out.data_ptr() % 64 == 0
        assert out.fill_(1.0)[-1, -1] == 1.0
