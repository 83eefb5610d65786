from __future__ import annotations

import torch

from spikeformer.cross_platform import GIB, accelerators


def test_cuda_gpus_are_described(monkeypatch):
    class Properties:
        name, total_memory, major, minor = "NVIDIA A100", 40 * GIB, 8, 0

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: Properties)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (index * GIB, 40 * GIB))
    first, second = accelerators.find_gpus()
    assert (first.name, first.kind, first.capability) == ("NVIDIA A100", "cuda", (8, 0))
    assert (first.bf16, first.free_bytes, second.free_bytes) == (True, 0, GIB)


def test_without_torch_there_are_no_gpus(monkeypatch):
    monkeypatch.setattr(accelerators, "find_spec", lambda name: None)
    assert accelerators.find_gpus() == ()


def test_missing_packages_have_no_version(monkeypatch):
    def version(package):
        if package == "triton":
            raise accelerators.PackageNotFoundError
        return "1"

    monkeypatch.setattr(accelerators, "version", version)
    assert accelerators.package_versions() == {"torch": "1", "numba": "1"}
