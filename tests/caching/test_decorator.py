from __future__ import annotations

import pytest
import torch

from spikeformer.caching import (
    Cache,
    ModelStateCache,
    cached,
    configure_caches,
    get_computation_cache,
    get_tensor_cache,
)
from spikeformer.error_handling import ArgumentError


def counting(**options):
    calls = []

    @cached(**options)
    def total(data, scale=1.0, *, shift=0.0):
        calls.append(1)
        return data.sum() * scale + shift

    return total, calls


def test_the_same_content_is_computed_once_however_it_is_passed():
    total, calls = counting(cache=Cache(memory_mib=1))
    x = torch.arange(4.0)
    results = [total(x), total(data=x.clone()), total(x, 1.0), total(x, shift=0.0)]
    assert calls == [1]
    assert {float(result) for result in results} == {6.0}
    assert total(x, 2.0) == 12
    assert total.__name__ == "total"


def test_results_on_disk_outlive_the_function(tmp_path):
    for _ in range(2):
        total, calls = counting(folder=tmp_path)
        assert total(torch.ones(3)) == 3
    assert calls == []


def test_a_key_for_other_types():
    class Reader:
        name = "a"

    @cached(cache=Cache(memory_mib=1), key=lambda reader: reader.name)
    def read(reader):
        return [reader.name]

    assert read(Reader()) == read(Reader()) == ["a"]

    @cached(cache=Cache(memory_mib=1))
    def bare(reader):
        return 1

    with pytest.raises(ArgumentError, match="key=lambda"):
        bare(Reader())


def test_misuse():
    with pytest.raises(ArgumentError, match="with brackets"):
        cached(lambda x: x)
    with pytest.raises(ArgumentError, match="ttl"):
        cached(ttl=-1)
    with pytest.raises(ArgumentError, match="generator"):

        @cached()
        def numbers():
            yield 1


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


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_model_returns_to_its_state_or_stays(tmp_path, on_disk):
    tiers = {"memory_mib": 0, "folder": tmp_path} if on_disk else {}
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    states = ModelStateCache(**tiers)
    key = states.cache_model_state(model, 2, 30)
    assert key.startswith("epoch2-step30-")
    assert states.cache_model_state(model, 2, 30) == key
    before = {name: x.clone() for name, x in model.state_dict().items()}
    model(torch.randn(8, 2))
    torch.nn.init.zeros_(model[0].weight)
    assert states.restore_model_state(model, key) is True
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())
    assert states.restore_model_state(model, "epoch9-step9-none") is False
    other = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.ReLU())
    other.append(torch.nn.Linear(3, 1))
    kept = other[0].weight.clone()
    with pytest.raises(ArgumentError, match="absent in the state"):
        states.restore_model_state(other, key)
    assert torch.equal(other[0].weight, kept)
