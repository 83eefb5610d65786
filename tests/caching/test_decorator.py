from __future__ import annotations

import pytest
import torch

from spikeformer.caching import (
    Cache,
    cached,
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


def test_a_function_may_call_itself_and_use_an_ellipsis():
    calls = []

    @cached(cache=Cache())
    def fibonacci(n):
        calls.append(n)
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    assert fibonacci(20) == 6765
    assert sorted(calls) == list(range(21))

    @cached(cache=Cache())
    def last(x):
        return x[..., -1]

    assert last(torch.arange(6).view(2, 3)).tolist() == [2, 5]
