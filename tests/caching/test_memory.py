"""The tier in memory."""

from __future__ import annotations

import torch

from spikeformer.caching import TensorCache


def test_least_recently_used_go_first():
    cache, x = TensorCache(memory_mib=1), torch.zeros(75_000)  # three fit, four do not
    for key in "abc":
        cache.put_tensor(key, x)
    cache.get_tensor("a")
    cache.put_tensor("d", x)
    assert [key for key in "abcd" if key in cache] == ["a", "c", "d"]
    assert cache.memory.nbytes <= 2**20
    cache.put_tensor("big", torch.zeros(300_000))
    assert "big" not in cache
    assert "a" in cache
