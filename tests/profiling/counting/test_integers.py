"""The counts of an integer network against those of the binary network it stands for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from spikeformer.encoding import RateCoding
from spikeformer.models import (
    PooledSpikeDrivenAttention,
    QKTokenAttention,
    SpikeDrivenAttention,
    unrolled,
)
from spikeformer.profiling import OperationCounter, ann_equivalent
from tests.models.test_unrolled import transformer, vit


def counted(net, *inputs):
    with torch.no_grad(), OperationCounter() as counter:
        net(*inputs)
    (work,) = counter.works
    return work.counts()


def assert_equal_work(integers, binary):
    """Layers that take spikes do the same work.

    Norms run with the neuron in one and before it in the other, and the readout takes means of
    spikes, real numbers, once a timestep or once a step. Gates, which only the binary network
    calls, are named by their mechanism.
    """

    def by_name(counts):
        named = (
            replace(layer, name=layer.name.replace("mechanism.neuron", "mechanism"))
            for layer in counts.layers
        )
        return {
            (layer.name, layer.kind): layer
            for layer in named
            if layer.kind != "norm" and layer.name != "head.readout"
        }

    ours, theirs = by_name(integers), by_name(binary)
    assert ours.keys() == theirs.keys()
    for key, layer in ours.items():
        assert sum(layer.timeline) == pytest.approx(sum(theirs[key].timeline)), key
        assert replace(layer, timeline=()) == replace(theirs[key], timeline=()), key


@pytest.mark.parametrize("mechanism", [QKTokenAttention, SpikeDrivenAttention])
@pytest.mark.parametrize("timesteps", [1, 3])
@pytest.mark.parametrize("kind", ["membrane", "sew", "tokens"])
def test_integers_count_as_unrolled(kind, timesteps, mechanism):
    if kind == "tokens":
        net, x = transformer(mechanism, timesteps), torch.randint(20, (3, 6))
    else:
        net, x = vit(mechanism, timesteps, residual=kind), torch.rand(3, 2, 8, 8)
    net.float()
    integers, binary = counted(net, x), counted(unrolled(net), x)
    assert integers.timesteps == binary.timesteps == 4 * timesteps
    assert sum(layer.acs for layer in integers.layers) > 0
    assert_equal_work(integers, binary)
    ours, theirs = ann_equivalent(integers), ann_equivalent(binary)
    assert ours.per_sample("macs") == pytest.approx(theirs.per_sample("macs"))


def test_pooled_attention_counts_as_unrolled():
    net, x = vit(PooledSpikeDrivenAttention, 2).float(), torch.rand(3, 2, 8, 8)
    integers = counted(net, x)
    assert sum(layer.acs for layer in integers.layers if layer.kind == "attention") > 0
    assert_equal_work(integers, counted(unrolled(net), x))


@pytest.mark.parametrize("timesteps", [1, 2])
def test_held_spikes_of_an_encoder_count_in_every_step(timesteps):
    net = vit(timesteps=timesteps, encoding=RateCoding(timesteps)).float()
    x = torch.rand(3, 2, 8, 8)
    assert_equal_work(counted(net, x), counted(unrolled(net), x))
