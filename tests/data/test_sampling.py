from __future__ import annotations

import pytest
import torch

from spikeformer.data import EpochSampler
from spikeformer.data.sampling import derive_seed
from spikeformer.error_handling import ArgumentError


def test_each_epoch_is_a_permutation_of_its_own():
    sampler = EpochSampler(50, seed=3)
    orders = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
        assert sorted(orders[-1]) == list(range(50))
    assert len({tuple(order) for order in orders}) == 3


def test_order_depends_on_seed_and_epoch_only():
    long_running, resumed = EpochSampler(50, seed=3), EpochSampler(50, seed=3)
    for epoch in range(4):
        long_running.set_epoch(epoch)
        before = list(long_running)
    torch.manual_seed(99)
    resumed.set_epoch(3)
    assert list(resumed) == before
    other = EpochSampler(50, seed=4)
    other.set_epoch(3)
    assert list(other) != before


def test_iterating_leaves_the_global_stream_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(EpochSampler(50))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("length", "replicas"), [(10, 2), (11, 3), (2, 5)])
def test_processes_share_out_the_one_order(length, replicas):
    whole = EpochSampler(length, seed=1)
    whole.set_epoch(5)
    shards = []
    for rank in range(replicas):
        shard = EpochSampler(length, seed=1, num_replicas=replicas, rank=rank)
        shard.set_epoch(5)
        shards.append(list(shard))
        assert len(shards[-1]) == len(shard) == -(-length // replicas)
    interleaved = [index for row in zip(*shards, strict=True) for index in row]
    order = list(whole)
    assert interleaved == [order[i % length] for i in range(len(interleaved))]


def test_derived_seeds_differ_where_sums_would_not():
    assert len({derive_seed(a, b) for a in range(20) for b in range(20)}) == 400
    assert 0 <= derive_seed(2**40, 7) < 2**63


def test_negative_seed_is_refused():
    with pytest.raises(ArgumentError, match="seed"):
        EpochSampler(3, seed=-1)
