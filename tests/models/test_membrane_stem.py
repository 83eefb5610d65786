from __future__ import annotations

from functools import partial

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.models import MembraneStem, SpikingViT, unrolled
from spikeformer.neurons import IntegerLifNeuron, LifNeuron
from tests.models.firing import calibrate

soft = partial(LifNeuron, tau_mem=2.0)


@pytest.mark.parametrize("shortcut", [True, False])
@pytest.mark.parametrize("pool", [(0, 0, 1, 1), (1, 1, 1, 1), (0, 1, 0, 0)])
@pytest.mark.parametrize("size", [(16, 16), (7, 9), (1, 5)])
def test_output_size_is_the_real_one(shortcut, pool, size):
    stem = MembraneStem(2, 8, 2, pool, shortcut=shortcut).eval()
    height, width = stem.output_size(*size)
    assert stem(torch.rand(1, 1, 2, *size)).shape == (1, 2, height * width, 8)


def test_the_shortcut_pools_currents_and_adds_them():
    stem = MembraneStem(2, 16, 3, neuron=soft, threshold=0.5)
    x = torch.rand(2, 3, 2, 8, 8)
    calibrate(stem, x)
    hidden = x
    for index in range(3):
        hidden = stem.neurons[index](stem.convs[index](hidden))
        if index == 2:
            hidden = torch.nn.functional.max_pool3d(hidden, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        assert set(hidden.unique().tolist()) == {0.0, 1.0}
    current = stem.convs[3](hidden)
    assert stem.convs[3].pool is not None
    expected = current + stem.position(stem.neurons[3](current))
    torch.testing.assert_close(stem(x), expected.flatten(3).transpose(2, 3))


def test_without_a_shortcut_every_pooling_sees_spikes():
    stem = MembraneStem(2, 16, 3, neuron=soft, threshold=0.5, shortcut=False)
    x = torch.rand(2, 1, 2, 8, 8)
    calibrate(stem, x)
    assert all(conv.pool is None for conv in stem.convs)
    seen = []
    for pool in stem.pools:
        pool.register_forward_hook(lambda m, a, o: seen.append(set(a[0].unique().tolist())))
    stem(x)
    assert seen == [{0.0, 1.0}] * 4


def test_bad_arguments():
    with pytest.raises(ArgumentError, match="four values"):
        MembraneStem(1, 8, 2, (True, True))
    with pytest.raises(ArgumentError, match="d_model"):
        MembraneStem(1, 12, 2)


def test_pooled_integer_spikes_are_the_ors_of_their_unit_spikes():
    net = SpikingViT(
        2, 8, 16, 2, 1, 2, neuron=partial(IntegerLifNeuron, max_spikes=3), output="currents",
        stem=partial(MembraneStem, pool=(True, False, True, False), shortcut=False),
    )  # fmt: skip
    images = torch.rand(4, 2, 8, 8)
    calibrate(net, images)
    steps = unrolled(net)(images)
    torch.testing.assert_close(steps.unflatten(1, (2, 3)).mean(2), net(images))
    other = SpikingViT(2, 8, 16, 2, 1, 2, neuron=IntegerLifNeuron, stem=MembraneStem)
    with pytest.raises(ArgumentError, match="MaxPool2d"):
        unrolled(other)
