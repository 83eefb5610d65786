"""Kernels on the OpenMP threads of torch: their addresses, their failures, one library for both."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from numba import njit

from spikeformer.ops import openmp
from spikeformer.ops.threads import run_tasks

MUCH = 1 << 30


@pytest.fixture(autouse=True)
def restore_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_kernel_without_memory_says_so():
    if not openmp.available():
        pytest.skip("torch's OpenMP cannot be reached here")

    @njit(nogil=True)
    def greedy(first, last, size, out):
        out[first] = np.empty(size, np.float64).size

    arguments = (1 << 60, np.zeros(2, np.int64))
    with pytest.raises(MemoryError):
        openmp.run_chunks(openmp.kernel_address(greedy, arguments), arguments, 2, 2, 2)


def kernel_from_a_factory(value):
    @njit(nogil=True)
    def kernel(first, last, out):
        out[first:last] = value

    return kernel


def test_kernels_from_one_factory_are_told_apart():
    """Their machine code has one name, and each is called alone and on threads."""
    torch.set_num_threads(2)
    kernels = {value: kernel_from_a_factory(value) for value in (1.0, 2.0, 3.0)}
    for elements in (1, MUCH):
        for value, kernel in kernels.items():
            out = np.zeros(100)
            run_tasks(kernel, (out,), 100, elements)
            assert (out == value).all()


def test_a_kernel_calls_another_by_its_address():
    kernels = {value: kernel_from_a_factory(value) for value in (5.0, 6.0)}
    addresses = [openmp.kernel_address(kernel, (np.zeros(0),)) for kernel in kernels.values()]

    @njit(nogil=True)
    def both(first, last, one, other, out):
        for task in range(first, last):
            openmp.call_kernel(one, (task, task + 1, out))
            openmp.call_kernel(other, (task + 1, task + 2, out))

    torch.set_num_threads(2)
    out = np.zeros(101)
    run_tasks(both, (*addresses, out), 100, 1)
    assert out.tolist() == [5.0] * 100 + [6.0]


def test_an_address_asked_for_too_late_is_refused():
    kernel, out = kernel_from_a_factory(4.0), np.zeros(3)
    kernel(0, 3, out)
    with pytest.raises(RuntimeError, match="called before"):
        openmp.kernel_address(kernel, (out,))


@pytest.mark.slow
def test_one_openmp_serves_torch_and_kernels():
    """As many threads in the process after our kernels as after torch's operators."""
    if not openmp.available():
        pytest.skip("torch's OpenMP cannot be reached here")
    script = """
import torch
from spikeformer.ops import lif
def threads():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if "Threads" in line)
torch.set_num_threads(3)
x = torch.randn(8, 8, 50000)
x.add(1).exp().sum()
before = threads()
lif(x, decay=0.5, backend="cpu")
print(threads() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "0", done.stderr
