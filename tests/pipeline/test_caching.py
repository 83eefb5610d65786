"""What a run asked of the process's caches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeformer.caching import configure_caches
from spikeformer.cli import compose as composed
from spikeformer.hardware import record_reference
from spikeformer.pipeline.caching import RunCaches, make_caches, reference_of
from tests.hardware.networks import images, vit


@pytest.fixture
def shared():
    yield configure_caches(memory_mib=8)
    configure_caches()


def test_make_caches_follows_the_configuration(shared):
    assert make_caches(composed("logger=none")) is None
    made = make_caches(composed("logger=none", "cache=memory"))
    assert made is not None
    assert made.stats.lookups == 0


def test_run_caches_count_from_when_the_run_got_them(shared):
    shared.tensors.put_tensor("x", torch.ones(2))
    shared.tensors.get_tensor("x")
    mine = RunCaches(shared)
    shared.tensors.get_tensor("x")
    shared.tensors.get_tensor("y")
    assert (mine.stats.hits, mine.stats.misses) == (1, 1)
    told = mine.to_dict()
    assert (told["memory_hits"], told["misses"], told["hit_rate"]) == (1, 1, 0.5)


def test_reference_of_a_network_is_recorded_once_for_its_weights(shared):
    caches, net, samples = RunCaches(shared), vit(), images(2)
    expected = record_reference(net, samples)
    for hits in (0, 1):
        found = reference_of(caches, net, samples)
        np.testing.assert_array_equal(found.outputs, expected.outputs)
        assert all((found.spikes[name] == x).all() for name, x in expected.spikes.items())
        assert caches.stats.hits == hits
    with torch.no_grad():
        next(net.parameters()).add_(1)
    reference_of(caches, net, samples)
    assert caches.stats.hits == 1
    np.testing.assert_array_equal(
        reference_of(None, net, samples).outputs, record_reference(net, samples).outputs
    )
