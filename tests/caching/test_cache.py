"""Budget, age, isolation, damage, and many at once."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from spikeformer.caching import Cache, TensorCache, pack
from spikeformer.error_handling import ArgumentError

VALUE = {
    "t": torch.arange(6.0).reshape(2, 3),
    "empty": torch.zeros(0, 3),
    "half": torch.tensor(2.5, dtype=torch.bfloat16),
    "complex": torch.tensor([1 + 2j]),
    "wide": torch.ones(2).expand(3, 2),
    "days": np.arange(3).astype("datetime64[D]"),
    "scalar": np.float32(3),
    5: (None, True, 1, 2.5, "ä", b"", b"\x00x", [float("inf")]),
}


def assert_is_value(found):
    assert list(found) == list(VALUE)
    for key in ("t", "empty", "half", "complex", "wide"):
        assert found[key].dtype == VALUE[key].dtype
        assert torch.equal(found[key], VALUE[key])
    assert (found["days"] == VALUE["days"]).all()
    assert found["days"].dtype == VALUE["days"].dtype
    assert found["scalar"] == 3
    assert type(found["scalar"]) is np.float32
    assert found[5] == VALUE[5]


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_a_value_comes_back_as_it_was(tmp_path, where):
    Cache(memory_mib=1, folder=tmp_path).put("k", VALUE)
    if where == "disk":
        cache = Cache(memory_mib=0, folder=tmp_path)
    else:
        cache = Cache(memory_mib=1)
        cache.put("k", VALUE)
    assert_is_value(cache.get("k"))
    assert cache.stats.hits == 1
    assert (cache.stats.disk_hits == 1) == (where == "disk")


def test_what_is_kept_cannot_be_changed_from_outside():
    cache, x = TensorCache(memory_mib=1), torch.zeros(3)
    cache.put_tensor("x", x)
    x.fill_(1)
    found = cache.get_tensor("x")
    assert not found.any()
    found.fill_(2)
    assert not cache.get_tensor("x").any()


@pytest.mark.parametrize("tiers", [{"memory_mib": 1}, {"memory_mib": 0, "folder": "x"}])
def test_values_grow_old(tiers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cache, now = Cache(**tiers), time.time()
    cache.put("k", 1, ttl=10)
    assert cache.get("k") == 1
    monkeypatch.setattr(time, "time", lambda: now + 11)
    assert cache.get("k", "gone") == "gone"
    with pytest.raises(ArgumentError, match="ttl"):
        cache.put("k", 1, ttl=0)


def test_none_is_a_value_like_others():
    cache, calls = Cache(memory_mib=1), []
    for _ in range(2):
        assert cache.get_or_compute("k", lambda: calls.append(1)) is None
    assert calls == [1]
    assert cache.stats.hit_rate == 0.5


def test_threads_compute_a_key_once():
    cache, calls, barrier = Cache(memory_mib=1), [], threading.Barrier(8)

    def compute():
        calls.append(1)
        time.sleep(0.02)
        return torch.ones(3)

    def work():
        barrier.wait()
        for key in ("a", "b"):
            assert cache.get_or_compute(key, compute).sum() == 3

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 2
    assert cache.stats.hits == 14
    assert not cache._computing


@pytest.mark.parametrize(
    "value", [object(), torch.eye(2).to_sparse(), torch.ones(1, requires_grad=True) * 2, {1, 2}]
)
def test_what_cannot_be_kept_is_refused(value):
    with pytest.raises(ArgumentError):
        pack(value)
