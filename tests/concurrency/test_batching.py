"""Buckets of requests: order, room, and what may share a batch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeformer.concurrency.batching import (
    Buckets,
    InferenceRequest,
    collate,
    samples_of,
    shape_of,
)
from spikeformer.error_handling import ArgumentError


def request(number, samples=1, width=3):
    x = torch.full((samples, width), float(number))
    return InferenceRequest(f"r{number}", x, samples, float(number), shape_of(x))


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 2)), max_size=20), st.integers(1, 6))
def test_buckets_ready_keeps_the_order_of_each_shape_and_the_size(requests, batch_size):
    buckets = Buckets(batch_size, 0.0)
    made = [request(i, samples, width) for i, (samples, width) in enumerate(requests)]
    for each in made:
        buckets.add(each)
    taken = []
    while batch := buckets.ready(100.0):
        assert len({each.shape for each in batch}) == 1
        assert len(batch) == 1 or sum(each.samples for each in batch) <= batch_size
        taken += batch
    assert len(buckets) == 0
    for width in (1, 2):
        names = [each.name for each in made if each.inputs.shape[1] == width]
        assert names == [each.name for each in taken if each.inputs.shape[1] == width]


@given(st.integers(1, 6), st.integers(1, 4))
def test_buckets_put_back_undoes_ready(count, batch_size):
    buckets = Buckets(batch_size, 0.0)
    made = [request(i) for i in range(count)]
    for each in made:
        buckets.add(each)
    buckets.put_back(buckets.ready(100.0, hurry=True))
    assert buckets.clear() == made
    assert buckets.next_deadline() is None


def test_buckets_remove_counts_the_samples_out():
    buckets = Buckets(4, 10.0)
    big, small = request(0, 3), request(1, 1)
    buckets.add(big)
    buckets.add(small)
    assert buckets.remove(big)
    assert not buckets.remove(big)
    assert buckets.ready(0.0) == []  # one sample is no full batch
    assert buckets.ready(11.0) == [small]


def test_shape_of_tells_names_shapes_and_types_apart():
    x = torch.rand(2, 3)
    alike = [x, torch.rand(5, 3)]
    assert len(set(map(shape_of, alike))) == 1
    different = [x, (x,) * 2, {"x": x}, {"y": x}, x.double(), torch.rand(2, 4)]
    assert len(set(map(shape_of, different))) == len(different)


def test_collate_joins_dicts_by_name():
    made = [
        InferenceRequest("a", {"x": torch.ones(2, 1)}, 2, 0.0, ()),
        InferenceRequest("b", {"x": torch.zeros(1, 1)}, 1, 0.0, ()),
    ]
    assert collate(made, torch.device("cpu"))["x"].flatten().tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    "bad", [{"x": None}, (torch.rand(2), torch.rand(3)), (), [torch.rand(2), 1]]
)
def test_samples_of_refuses_what_is_no_batch(bad):
    with pytest.raises(ArgumentError, match="inputs"):
        samples_of(bad)
