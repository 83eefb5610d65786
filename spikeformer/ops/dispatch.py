"""Which implementation of an op runs: the reference in torch, a CPU kernel or a Triton kernel."""

from __future__ import annotations

import logging
import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import torch

from spikeformer.error_handling import BackendUnavailableError, check_choice

BACKENDS = ("auto", "reference", "cpu", "triton")
"""Accepted values of every op's `backend` argument and of the `ops` setting."""

# Kernels keep membranes in float32; only the reference computes in float64.
_KERNEL_DTYPES = (torch.float32, torch.bfloat16, torch.float16)

_PACKAGES = {"cpu": "numba", "triton": "triton"}
_DEVICES = {"cpu": "cpu", "triton": "cuda"}  # torch calls a ROCm device "cuda" too
_TRITON_INTERPRETS = os.environ.get("TRITON_INTERPRET") == "1"

_logger = logging.getLogger(__name__)
_logged: set[tuple[str, str, str]] = set()


def resolve_backend(
    backend: str,
    device: torch.device,
    *,
    op: str,
    dtype: torch.dtype = torch.float32,
) -> str:
    """Return the backend to run: "reference", "cpu" or "triton".

    An explicit choice is kept or refused, never replaced. "auto" takes the device's kernel where
    there is one and the reference otherwise, and logs each choice once per op and device type.

    Args:
        backend: One of `BACKENDS`.
        device: Where the op's input lies.
        op: Name of the op, as in "lif".
        dtype: Dtype of the op's input.

    Raises:
        ArgumentError: If `backend` is not one of `BACKENDS`.
        BackendUnavailableError: If an explicit backend cannot run; the message says what is missing
            and what to do.

    Example:
        >>> resolve_backend("reference", torch.device("cpu"), op="lif")
        'reference'
    """
    check_choice("backend", backend, BACKENDS)
    return _resolve(backend, device.type, op, dtype)


# Kept out of torch.compile's sight: imports and logging would break its graph.
@torch.compiler.assume_constant_result
def _resolve(backend: str, device: str, op: str, dtype: torch.dtype) -> str:
    if backend == "reference":
        return backend
    if backend != "auto":
        obstacle = _obstacle(backend, device, op, dtype)
        if obstacle:
            raise BackendUnavailableError(
                f"Backend {backend!r} of op {op!r} cannot run: {obstacle}"
            )
        return backend
    kernels = [kernel for kernel, needed in _DEVICES.items() if needed == device]
    obstacles = {kernel: _obstacle(kernel, device, op, dtype) for kernel in kernels}
    chosen = next((kernel for kernel, why in obstacles.items() if not why), "reference")
    if (op, device, chosen) not in _logged:
        _logged.add((op, device, chosen))
        level = logging.DEBUG if chosen in kernels else logging.INFO
        _logger.log(level, "op %s on %s: backend %s", op, device, chosen)
        _logger.debug("op %s on %s: obstacles %s", op, device, obstacles)
    return chosen


def _obstacle(backend: str, device: str, op: str, dtype: torch.dtype) -> str:
    """Why a kernel cannot run, with the remedy; empty if it can."""
    otherwise = "or choose 'auto' or 'reference'."
    needed, package = _DEVICES[backend], _PACKAGES[backend]
    if not _has_kernel(op, backend):
        return f"this op has no {backend} kernel. Choose 'auto' or 'reference'."
    interpreted = backend == "triton" and device == "cpu" and _TRITON_INTERPRETS
    if device != needed and not interpreted:
        return f"its input lies on {device!r}, not {needed!r}. Move the input {otherwise}"
    if dtype not in _KERNEL_DTYPES:
        return f"it does not compute in {dtype}. Pass float32, bfloat16 or float16, {otherwise}"
    error = _import_error(package)
    return f"{package} does not import ({error}). Install it {otherwise}" if error else ""


def load_kernels(op: str, backend: str) -> ModuleType:
    """Import the module with an op's kernels: `ops/<op>/cpu.py` or `ops/<op>/triton.py`."""
    return import_module(f"spikeformer.ops.{op}.{backend}")


@cache
def _has_kernel(op: str, backend: str) -> bool:
    folder = f"spikeformer.ops.{op}"
    return find_spec(folder) is not None and find_spec(f"{folder}.{backend}") is not None


@cache
def _import_error(package: str) -> str:
    try:
        import_module(package)
    except ImportError as error:
        return str(error)
    return ""
