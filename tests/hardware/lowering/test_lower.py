"""A lowered network fires exactly the spikes of the network, whatever the network looks like."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeformer.encoding import DeltaCoding, LatencyCoding, PoissonCoding, RateCoding
from spikeformer.hardware import compare, lower, record_reference, reference_spikes, simulate
from spikeformer.models.mechanisms import QKTokenAttention, SpikeDrivenAttention
from spikeformer.models.spikformer_stem import SpikformerStem
from spikeformer.neurons import LifNeuron
from tests.hardware.networks import images, vit

MECHANISMS = [QKTokenAttention, SpikeDrivenAttention]


def assert_equal(net, samples):
    """Lower `net` and compare every spike and the outputs; return the graph."""
    lowered = lower(net, samples.shape[1:])
    reference = record_reference(net, samples)
    spikes = simulate(lowered.graph, reference.inputs)
    found = compare(lowered.graph, reference_spikes(lowered.graph, reference), spikes)
    assert found.mismatches == 0
    # Every module was compared, not only what the graph chose to have.
    assert set(reference.spikes) <= {layer.population for layer in found.layers}
    outputs = lowered.graph.outputs({**reference.inputs, **spikes})
    np.testing.assert_allclose(outputs, reference.outputs, atol=1e-12)
    return lowered.graph


@settings(max_examples=15)
@given(
    mechanism=st.sampled_from(MECHANISMS),
    residual=st.sampled_from(["membrane", "sew"]),
    dim_heads=st.sampled_from([(4, 1), (8, 2), (12, 3), (8, 8)]),
    blocks=st.integers(1, 3),
    timesteps=st.integers(1, 5),
    strides=st.sampled_from([(1,), (2,), (1, 2), (2, 2)]),
    mlp_ratio=st.sampled_from([0.5, 1.0, 2.0]),
    image=st.sampled_from([(1, 4, 4), (2, 5, 3), (3, 1, 6)]),
    tau=st.floats(0.3, 30.0),
    threshold=st.sampled_from([0.5, 1.0, 2.0]),
    seed=st.integers(0, 2**16),
)
def test_any_spiking_vit(
    mechanism,
    residual,
    dim_heads,
    blocks,
    timesteps,
    strides,
    mlp_ratio,
    image,
    tau,
    threshold,
    seed,
):
    torch.manual_seed(seed)
    net = vit(
        mechanism=mechanism,
        image=image,
        dim=dim_heads[0],
        heads=dim_heads[1],
        blocks=blocks,
        timesteps=timesteps,
        neuron=partial(LifNeuron, reset="zero", tau_mem=tau),
        threshold=threshold,
        residual=residual,
        stem_strides=strides,
        mlp_ratio=mlp_ratio,
    )
    graph = assert_equal(net, images(3, image))
    # Shorter branches wait for the longest path.
    assert all(p.delay <= graph.depth for p in graph.projections)


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("residual", ["membrane", "sew"])
@pytest.mark.parametrize(
    "encoding",
    [RateCoding(3), LatencyCoding(3), DeltaCoding(3, 0.2), PoissonCoding(3, 400.0, seed=1)],
    ids=lambda encoding: type(encoding).__name__,
)
def test_spike_encodings(mechanism, residual, encoding):
    graph = assert_equal(vit(mechanism=mechanism, residual=residual, encoding=encoding), images(4))
    assert {source.kind for source in graph.sources} == {"spikes"}


@pytest.mark.parametrize("residual", ["membrane", "sew"])
def test_spikformer_stem_without_pooling(residual):
    stem = partial(SpikformerStem, patch_size=1)
    assert_equal(vit(stem=stem, residual=residual), images(4))


def test_neurons_fire_enough_for_the_comparison_to_mean_something():
    for mechanism in MECHANISMS:
        net = vit(mechanism=mechanism, blocks=2, dim=16, heads=4)
        reference = record_reference(net, images(8))
        rates = {name: spikes.mean() for name, spikes in reference.spikes.items()}
        assert np.mean([0.02 < rate < 0.98 for rate in rates.values()]) > 0.8, rates


def test_network_is_left_as_it_was():
    net = vit()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    net.train()
    lower(net, (1, 6, 6))
    assert net.training
    assert all((value == before[key]).all() for key, value in net.state_dict().items())
    assert net(images(2)).dtype == torch.float32


def test_structure_is_kept():
    """What repeats over tokens or pixels is stored once, or large networks would not fit."""
    graph = lower(vit(blocks=2), (1, 6, 6)).graph
    for projection in graph.projections:
        kind = type(projection.operator).__name__
        gate = projection.target.endswith(("mechanism.neuron", "coincidence"))
        assert kind == ("Sparse" if gate else kind)
        assert gate or kind in ("Convolution", "TokenLinear")


def test_depths_follow_the_longest_path():
    graph = lower(vit(blocks=1), (1, 6, 6)).graph
    block = "backbone.blocks.blocks.0"
    assert [(p.name, p.depth) for p in graph.neurons] == [
        ("backbone.stem.neurons.0", 0),
        ("backbone.stem.neurons.1", 1),
        (f"{block}.attention_neuron", 2),
        (f"{block}.attention.qkv_neuron", 3),
        (f"{block}.attention.mechanism.neuron", 4),
        (f"{block}.attention.mechanism.coincidence", 5),
        (f"{block}.mlp_neuron", 6),
        (f"{block}.mlp.neuron", 7),
        ("backbone.blocks.neuron", 8),
    ]
    delays = {p.source: p.delay for p in graph.incoming("backbone.blocks.neuron")}
    assert delays == {
        "backbone.stem.neurons.0": 8,
        "backbone.stem.neurons.1": 7,
        f"{block}.attention.mechanism.coincidence": 3,
        f"{block}.mlp.neuron": 1,
    }
