from __future__ import annotations

import pytest

from spikeformer.cross_platform import (
    GIB,
    Gpu,
    choose,
    loader_workers,
)
from tests.cross_platform.trees import H100, V100, platform

CUDA = ("cuda_gpu", "triton_kernels", "cpu_kernels")
EVERYTHING = dict.fromkeys(
    ("device", "precision", "num_workers", "max_workers", "batch_size", "pin_memory", "backend"),
    "auto",
)


def chosen(config, info):
    return {choice.key: choice.value for choice in choose(config, info)}


def test_a_cpu():
    assert chosen(EVERYTHING, platform(capabilities=["cpu_kernels"])) == {
        "device": "cpu",
        "precision": "32-true",
        "num_workers": 7,
        "max_workers": 8,
        "batch_size": 128,
        "pin_memory": False,
        "backend": "cpu",
    }
    assert chosen({"backend": None}, platform()) == {"backend": "reference"}


def test_a_new_gpu():
    info = platform(H100, H100, capabilities=[*CUDA, "bf16_gpu"])
    assert chosen({**EVERYTHING, "accelerator": "auto"}, info) == {
        "device": "cuda",
        "accelerator": "gpu",
        "precision": "bf16-mixed",
        "num_workers": 7,
        "max_workers": 2,
        "batch_size": 256,
        "pin_memory": True,
        "backend": "triton",
    }


def test_a_gpu_without_bfloat16():
    assert (
        chosen({"precision": "auto"}, platform(V100, capabilities=CUDA))["precision"] == "32-true"
    )


def test_an_apple_gpu():
    gpu = Gpu("Apple GPU", "mps", 8 * GIB)
    found = chosen({"device": "auto", "pin_memory": "auto", "ops": "auto"}, platform(gpu))
    assert found == {"device": "mps", "pin_memory": False, "ops": "reference"}


def test_the_device_that_was_asked_for_decides():
    info = platform(H100, capabilities=[*CUDA, "bf16_gpu"])
    found = chosen({"device": "cpu", "precision": "auto", "backend": "auto"}, info)
    assert found == {"precision": "32-true", "backend": "cpu"}


def test_explicit_values_stay():
    config = {"device": "cuda", "precision": "64-true", "batch_size": 7, "num_workers": 8}
    assert choose(config, platform()) == []
    assert choose({"mine": "auto", "lr": None}, platform()) == []


def test_more_workers_than_cores_are_lowered():
    (choice,) = choose({"num_workers": 32}, platform())
    assert (choice.value, choice.before) == (8, 32)
    assert "8 cores" in str(choice)


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 1), (6, 5), (64, 8)])
def test_loader_workers(cores, workers):
    assert loader_workers(platform(cores=cores)) == workers


@pytest.mark.parametrize(("free", "size"), [(GIB // 2, 16), (3 * GIB, 32), (100 * GIB, 256)])
def test_batch_size_follows_free_memory(free, size):
    assert chosen({"batch_size": "auto"}, platform(available_bytes=free)) == {"batch_size": size}
