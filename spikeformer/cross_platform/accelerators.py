"""GPUs and the packages that kernels need."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from spikeformer.cross_platform.types import Gpu

_BF16_SINCE = (8, 0)
"""Compute capability from which CUDA GPUs multiply bfloat16 in their tensor cores (Ampere)."""


def find_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that torch can use, in its order."""
    if find_spec("torch") is None:
        return ()
    import torch

    if torch.cuda.is_available():
        return tuple(_cuda_gpu(index) for index in range(torch.cuda.device_count()))
    if torch.backends.mps.is_available():
        memory = torch.mps.recommended_max_memory()
        return (Gpu("Apple GPU", "mps", memory, memory - torch.mps.driver_allocated_memory()),)
    return ()


def _cuda_gpu(index: int) -> Gpu:
    import torch

    found = torch.cuda.get_device_properties(index)
    free, _ = torch.cuda.mem_get_info(index)
    if torch.version.hip:
        return Gpu(found.name, "rocm", found.total_memory, free, bf16=True)
    capability = (found.major, found.minor)
    bf16 = capability >= _BF16_SINCE
    return Gpu(found.name, "cuda", found.total_memory, free, capability, bf16)


def package_versions() -> dict[str, str]:
    """Return the versions of torch, numba and triton, as far as they are installed."""
    found = {}
    for package in ("torch", "numba", "triton"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def has_cpp_compiler() -> bool:
    """Whether torch.compile would find a C++ compiler."""
    return any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl"))
