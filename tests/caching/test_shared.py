"""The process's caches."""

from __future__ import annotations

import torch

from spikeformer.caching import (
    configure_caches,
    get_computation_cache,
    get_tensor_cache,
)


def test_the_shared_caches_keep_what_they_hold_until_settings_change(tmp_path):
    first = configure_caches(memory_mib=1)
    get_tensor_cache().put_tensor("x", torch.ones(2))
    assert configure_caches(memory_mib=1) is first
    assert first.computations is get_computation_cache()
    assert get_tensor_cache().get_tensor("x").sum() == 2
    other = configure_caches(memory_mib=1, folder=tmp_path)
    assert other is not first
    assert {path.name for path in tmp_path.iterdir()} == {"tensors", "computations"}
    configure_caches()
