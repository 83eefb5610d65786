from __future__ import annotations

import logging

import pytest
import torch

from spikeformer.error_handling import ArgumentError, BackendUnavailableError
from spikeformer.ops import BACKENDS, dispatch, lif, resolve_backend

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def fresh_log(monkeypatch):
    monkeypatch.setattr(dispatch, "_logged", set())


@pytest.fixture
def no_numba(monkeypatch):
    monkeypatch.setattr(dispatch, "_import_error", lambda package: f"No module named {package!r}")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_auto_takes_the_cpu_kernel(dtype):
    assert resolve_backend("auto", CPU, op="lif", dtype=dtype) == "cpu"


def test_auto_takes_the_reference_for_float64():
    assert resolve_backend("auto", CPU, op="lif", dtype=torch.float64) == "reference"


def test_auto_takes_the_reference_where_an_op_has_no_kernel():
    assert resolve_backend("auto", CUDA, op="lif") in {"reference", "triton"}
    assert resolve_backend("auto", CPU, op="no such op") == "reference"


def test_auto_falls_back_without_numba(no_numba):
    assert resolve_backend("auto", CPU, op="lif") == "reference"
    spikes, _ = lif(torch.ones(1, 2, 3), decay=0.5)
    assert spikes.sum() == 6


def test_explicit_choice_is_kept():
    assert resolve_backend("cpu", CPU, op="lif") == "cpu"
    assert resolve_backend("reference", CUDA, op="lif") == "reference"


def test_explicit_cpu_without_numba_names_it(no_numba):
    with pytest.raises(BackendUnavailableError, match=r"numba does not import.*Install it"):
        resolve_backend("cpu", CPU, op="lif")


def test_explicit_cpu_on_another_device_names_it():
    with pytest.raises(BackendUnavailableError, match="input lies on 'cuda'"):
        resolve_backend("cpu", CUDA, op="lif")


def test_explicit_cpu_refuses_float64():
    with pytest.raises(BackendUnavailableError, match="float64"):
        lif(torch.ones(1, 1, 1, dtype=torch.float64), decay=0.5, backend="cpu")


def test_explicit_triton_on_a_cpu_is_refused(monkeypatch):
    monkeypatch.setattr(dispatch, "_TRITON_INTERPRETS", False)
    with pytest.raises(BackendUnavailableError, match=r"'triton'.*'lif'"):
        lif(torch.ones(1, 1, 1), decay=0.5, backend="triton")


def test_unknown_backend_lists_the_known():
    with pytest.raises(ArgumentError, match="'reference'"):
        resolve_backend("cuda", CPU, op="lif")
    assert BACKENDS == ("auto", "reference", "cpu", "triton")


@pytest.mark.parametrize(
    ("dtype", "level", "chosen"),
    [(torch.float32, logging.DEBUG, "cpu"), (torch.float64, logging.INFO, "reference")],
)
def test_auto_logs_once_and_loudly_only_where_no_kernel_runs(caplog, dtype, level, chosen):
    with caplog.at_level(logging.DEBUG, logger=dispatch.__name__):
        for _ in range(3):
            resolve_backend("auto", CPU, op="lif", dtype=dtype)
            resolve_backend("reference", CPU, op="lif", dtype=dtype)
    choices = [each for each in caplog.records if "backend" in each.getMessage()]
    assert [each.getMessage() for each in choices] == [f"op lif on cpu: backend {chosen}"]
    assert [each.levelno for each in choices] == [level]
