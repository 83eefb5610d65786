"""What is known about a platform, as JSON holds it."""

from __future__ import annotations

import json

from tests.cross_platform.trees import H100, platform


def test_platform_info_becomes_plain_values():
    info = platform(
        H100,
        capabilities=["cuda_gpu", "bf16_gpu", "avx2"],
        container_limits=("1 core",),
        energy_counters=("nvml",),
    )
    found = info.to_dict()
    assert json.loads(json.dumps(found)).keys() == vars(info).keys()
    assert (found["os"], found["architecture"]) == ("linux", "x86_64")
    assert found["capabilities"] == ["avx2", "bf16_gpu", "cuda_gpu"]
    assert (found["container_limits"], found["energy_counters"]) == (["1 core"], ["nvml"])
    assert found["gpus"][0] == {
        "name": "NVIDIA H100",
        "kind": "cuda",
        "memory_bytes": 80 * 2**30,
        "free_bytes": 70 * 2**30,
        "capability": (9, 0),
        "bf16": True,
    }
