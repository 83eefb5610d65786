from __future__ import annotations

from functools import partial

import pytest
import torch

from spikeformer.encoding import DirectCoding
from spikeformer.error_handling import ArgumentError
from spikeformer.hardware import lower
from spikeformer.models import (
    ClassificationHead,
    ConvEmbedding,
    ConvMerging,
    ConvMLP,
    DepthwiseMixing,
    EventEmbedding,
    HierarchicalViT,
    MembraneStem,
    PatchEmbedding,
    PatchMerging,
    PooledSpikeDrivenAttention,
    QKTokenAttention,
    SeparableMixing,
    SpikeDrivenAttention,
    SpikformerStem,
    SpikingAttention,
    SpikingMLP,
    SpikingNetwork,
    SpikingSelfAttention,
    SpikingViT,
    unrolled,
)
from spikeformer.neurons import IntegerLifNeuron, LifNeuron
from spikeformer.profiling import EnergyProfiler
from tests.hardware.lowering.test_lower import assert_equal
from tests.models.firing import calibrate

HARD = partial(LifNeuron, tau_mem=1.4427, reset="zero")
SDSA = partial(
    SpikingAttention,
    mechanism=partial(SpikeDrivenAttention, relative_threshold=0.5),
    dropout=0.0,
)
QK = partial(SpikingAttention, mechanism=QKTokenAttention, dropout=0.0)


POOLED = partial(SpikingAttention, mechanism=PooledSpikeDrivenAttention, dropout=0.0)
EVENTS = partial(EventEmbedding, downsample="stride", num_convs=3)


WIDE = partial(
    SpikingAttention,
    mechanism=partial(SpikingSelfAttention, scale=2.0, by_channels=True),
    dropout=0.0,
    value_ratio=4,
)


def v3(attention, **options):
    """Spike-driven Transformer V3 of two stages."""
    shared = {
        "image_size": 9,
        "d_model": 8,
        "widths": (6, 8),
        "nheads": (2, 2),
        "depths": (1, 1),
        "timesteps": 1,
        "neuron": partial(IntegerLifNeuron, max_spikes=2),
        "residual": "membrane",
        "output": "pooled",
        "embedding": partial(ConvEmbedding, kernel_size=7),
        "merging": [partial(ConvMerging, stride=1)],
        "mixers": [partial(SeparableMixing, kernel_size=7), attention],
        "local_mixers": [None, partial(SeparableMixing, kernel_size=3)],
        "mlps": [ConvMLP, SpikingMLP],
    }
    return HierarchicalViT(1, **{**shared, **options})


def small(**options):
    shared = {"image_size": 8, "d_model": 32, "nheads": [2, 2, 2], "depths": [1, 1, 2]}
    return HierarchicalViT(1, timesteps=2, **{"neuron": HARD, **shared, **options})


MAXFORMER = {
    "residual": "membrane",
    "output": "pooled",
    "embedding": partial(PatchEmbedding, downsample="stride"),
    "merging": partial(PatchMerging, shortcut="pool"),
    "mixers": [None, partial(DepthwiseMixing, kernel_size=5), SDSA],
}


@pytest.mark.parametrize("size", [8, (7, 10)])
def test_stages_halve_the_image_and_double_the_width(size):
    model = small(image_size=size, embedding=partial(PatchEmbedding, downsample="none"))
    shapes = []
    for stage in model.stages:
        stage.register_forward_hook(lambda m, a, o: shapes.append(tuple(o.shape[2:])))
    height, width = model.image_shape[1:]
    features = model(torch.rand(3, 1, height, width))
    assert shapes[0] == (height * width, 8)
    assert shapes[1] == (-(-height // 2) * -(-width // 2), 16)
    assert features.shape == (3, 2, -(-height // 4) * -(-width // 4), 32)
    assert features.min() >= 0
    torch.testing.assert_close(features, features.round())


def test_the_stages_see_what_the_embeddings_make():
    model = small(depths=[1, 1], nheads=[2, 2])
    images = torch.rand(4, 1, 8, 8)
    calibrate(model, images)
    frames = model.embeddings[0](images.unsqueeze(1))
    tokens = model.stages[0](frames.flatten(3).transpose(2, 3))
    assert tokens.sum() > 0
    grid = tokens.transpose(2, 3).reshape(frames.shape)
    merged = model.embeddings[1](grid)
    torch.testing.assert_close(model(images), model.stages[1](merged.flatten(3).transpose(2, 3)))


def test_pooled_output_fires_at_the_mean_over_tokens():
    model, currents = small(**MAXFORMER), small(**{**MAXFORMER, "output": "currents"})
    images = torch.rand(4, 1, 8, 8)
    calibrate(model, images)
    currents.load_state_dict(model.state_dict())
    stream = currents.eval()(images)
    expected = model.stages[-1].neuron(stream.mean(dim=2, keepdim=True))
    assert model(images).shape == (4, 2, 1, 32)
    assert torch.equal(model(images), expected)
    assert stream.min() < 0


def test_a_stage_without_mixing_has_blocks_of_an_mlp():
    model = small(**MAXFORMER)
    (block,) = model.stages[0].blocks
    assert block.attention is None
    assert block.attention_neuron is None
    assert [m.grid_size for m in model.modules() if isinstance(m, DepthwiseMixing)] == [(1, 1)]


def in_chips(name):
    """Variants of the published models whose operations chips have."""
    stride = partial(PatchMerging, downsample="stride")
    flat = partial(SpikingViT, 1, 8, 16, 2, 1, 2, neuron=HARD, attention=SDSA)
    staged = partial(
        HierarchicalViT, 1, 8, 16, timesteps=2, neuron=HARD, merging=stride, depths=(1, 1)
    )
    return {
        "spike_driven": lambda: flat(
            stem=partial(MembraneStem, pool=[False, True, True, False]), output="pooled"
        ),
        "spikformer": lambda: flat(stem=partial(SpikformerStem, pool_spikes=True), residual="sew"),
        "spikingformer": lambda: flat(
            stem=partial(MembraneStem, shortcut=False), output="currents"
        ),
        "qkformer": lambda: staged(
            nheads=(2, 2),
            embedding=partial(PatchEmbedding, downsample="none", num_convs=1),
            mixers=[QK, SDSA],
        ),
        "maxformer": lambda: staged(
            nheads=(2, 2),
            embedding=partial(PatchEmbedding, downsample="stride"),
            mixers=[DepthwiseMixing, SDSA],
            residual="membrane",
            output="pooled",
        ),
        "spike_driven_v3": lambda: v3(SDSA, d_model=16, widths=(8, 16), neuron=HARD, timesteps=2),
        "spike_driven_dvs": lambda: flat(
            stem=partial(MembraneStem, pool=[False, True, True, False]),
            output="pooled",
            attention=POOLED,
        ),
        "qkformer_dvs": lambda: staged(nheads=(2, 2), embedding=EVENTS, mixers=[QK, SDSA]),
        "maxformer_dvs": lambda: staged(
            nheads=(2, 2),
            embedding=EVENTS,
            mixers=[DepthwiseMixing, SDSA],
            residual="membrane",
            output="pooled",
            mlp_ratio=1.0,
            mlp_shortcut=True,
        ),
    }[name]()


@pytest.mark.parametrize(
    "name",
    [
        "spike_driven",
        "spikformer",
        "spikingformer",
        "qkformer",
        "maxformer",
        "spike_driven_v3",
        "spike_driven_dvs",
        "qkformer_dvs",
        "maxformer_dvs",
    ],
)
def test_variants_for_chips_fire_the_same_spikes_there(name):
    net = SpikingNetwork(in_chips(name), ClassificationHead(16, 3))
    size = net.backbone.image_shape
    calibrate(net, torch.rand(8, *size))
    graph = assert_equal(net, torch.rand(3, *size))
    assert graph is not None


def test_normalised_images_go_to_a_chip_and_to_the_network_alike(tmp_path):
    coding = DirectCoding(2, [0.4], [0.25])
    net = SpikingNetwork(
        SpikingViT(1, 8, 16, 2, 1, 2, stem_strides=[1, 2], neuron=HARD, encoding=coding),
        ClassificationHead(16, 3),
    )
    images = torch.rand(4, 1, 8, 8)
    calibrate(net, images)
    plain = SpikingNetwork(
        SpikingViT(1, 8, 16, 2, 1, 2, stem_strides=[1, 2], neuron=HARD), ClassificationHead(16, 3)
    ).eval()
    plain.load_state_dict(net.state_dict())
    torch.testing.assert_close(net(images), plain((images - 0.4) / 0.25))
    assert not torch.equal(net(images), plain(images))
    assert_equal(net, images)
    again = SpikingNetwork.from_pretrained(net.save_pretrained(tmp_path / "net"))
    assert torch.equal(again(images), net(images))


@pytest.mark.parametrize(
    "options",
    [
        {},
        MAXFORMER,
        {**MAXFORMER, "mixers": [None, DepthwiseMixing, POOLED]},
        {"mixers": [QK, QK, POOLED], "neuron": partial(IntegerLifNeuron, max_spikes=2)},
    ],
)
def test_every_operation_is_counted(options):
    net = SpikingNetwork(small(**options), ClassificationHead(32, 3))
    images = torch.rand(4, 1, 8, 8)
    calibrate(net, images)
    with EnergyProfiler().measure() as recording, torch.no_grad():
        net(images)
    metrics = recording.get_metrics()
    assert metrics["uncounted"] == {}
    assert recording.works[0].unpriced == {}
    # The first convolution alone sees numbers; all else adds weights up where spikes come.
    assert 0 < metrics["macs"] < 0.1 * metrics["acs"]


def test_a_maximum_of_currents_is_refused_by_chips():
    net = SpikingNetwork(small(mixers=[QK, QK, SDSA]), ClassificationHead(32, 3)).eval()
    with pytest.raises(Exception, match="maximum of currents"):
        lower(net, (1, 8, 8))


def test_a_saved_network_comes_back(tmp_path):
    net = SpikingNetwork(small(**MAXFORMER), ClassificationHead(32, 3))
    images = torch.rand(3, 1, 8, 8)
    calibrate(net, images)
    again = SpikingNetwork.from_pretrained(net.save_pretrained(tmp_path / "net"))
    assert torch.equal(again(images), net(images))


def test_integer_neurons_train_it():
    net = HierarchicalViT(
        1, 8, 16, (2, 2), (1, 1), 1, neuron=partial(IntegerLifNeuron, max_spikes=4)
    )
    net(torch.rand(4, 1, 8, 8)).mean().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("embedding", [partial(PatchEmbedding, downsample="none"), EVENTS])
def test_integer_networks_unroll_where_nothing_pools_currents(embedding):
    net = HierarchicalViT(
        1,
        8,
        16,
        (2, 2),
        (1, 1),
        2,
        neuron=partial(IntegerLifNeuron, max_spikes=2),
        merging=partial(PatchMerging, downsample="stride"),
        embedding=embedding,
        mixers=[DepthwiseMixing, POOLED],
        residual="membrane",
    )
    images = torch.rand(4, 1, 8, 8)
    calibrate(net, images)
    steps = unrolled(net)(images)
    torch.testing.assert_close(steps.unflatten(1, (2, 2)).mean(2), net(images))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nheads": [2, 2]}, "nheads"),
        ({"mixers": [QK]}, "mixers"),
        ({"d_model": 30}, "d_model"),
        ({"nheads": [3, 2, 2]}, "nheads"),
        ({"depths": []}, "depths"),
        ({"output": "pooled"}, "sew"),
        ({"output": "logits"}, "output"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ArgumentError, match=message):
        small(**options)


@pytest.mark.parametrize("attention", [WIDE, SDSA])
def test_spike_driven_v3_is_its_unit_spikes(attention):
    net = v3(attention)
    images = torch.rand(4, 1, 9, 9)
    calibrate(net, images)
    assert net(images).shape == (4, 1, 1, 8)
    assert 0 < net(images).mean() < 1
    torch.testing.assert_close(unrolled(net)(images).unflatten(1, (1, 2)).mean(2), net(images))
    net.train()(images).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_a_local_mixer_stands_in_front_of_attention():
    net = v3(WIDE)
    images = torch.rand(4, 1, 9, 9)
    calibrate(net, images)
    block = net.stages[1].blocks[0]
    x = torch.randn(2, 1, 25, 8)
    y = x + block.local(block.local_neuron(x))
    y = y + block.attention(block.attention_neuron(y))
    torch.testing.assert_close(block(x), y + block.mlp(block.mlp_neuron(y)))
    assert net.grid_sizes == [(5, 5), (5, 5)]


def test_every_operation_of_spike_driven_v3_is_counted():
    net = SpikingNetwork(v3(WIDE), ClassificationHead(8, 3))
    images = torch.rand(4, 1, 9, 9)
    calibrate(net, images)
    with EnergyProfiler().measure() as recording, torch.no_grad():
        net(images)
    assert recording.get_metrics()["uncounted"] == {}
    assert recording.works[0].unpriced == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (8, 6)}, "widths"),
        ({"widths": (8,)}, "widths"),
        ({"merging": [ConvMerging, ConvMerging]}, "merging"),
        ({"mlps": [ConvMLP]}, "mlps"),
        ({"local_mixers": []}, "local_mixers"),
        ({"residual": "sew", "output": "spikes"}, "residual"),
        ({"mixers": [None, partial(QK, value_ratio=2)]}, "value_ratio"),
    ],
)
def test_bad_arguments_of_spike_driven_v3(options, message):
    with pytest.raises(ArgumentError, match=message):
        v3(WIDE, **options)
