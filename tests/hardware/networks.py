"""Small networks whose neurons fire, and spike graphs made by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import numpy as np
import torch
from torch import nn

from spikeformer.config import FusionConfig
from spikeformer.conversion import SpikeformerConverter
from spikeformer.encoding import EventCoding
from spikeformer.hardware import Population, Projection, Readout, SpikeGraph, lower
from spikeformer.hardware.ir.operators import TokenLinear
from spikeformer.models import (
    ClassificationHead,
    SpikingAttention,
    SpikingDelayNetwork,
    SpikingNetwork,
    SpikingTransformer,
    SpikingViT,
)
from spikeformer.models.mechanisms import QKTokenAttention
from spikeformer.multimodal import (
    AudioSpikeEncoder,
    MultiModalNetwork,
    TextSpikeEncoder,
    VisionSpikeEncoder,
)
from spikeformer.neurons import LifNeuron
from tests.conversion import networks as originals

HARD = partial(LifNeuron, reset="zero", tau_mem=1.4427)


def vit(
    *,
    mechanism=QKTokenAttention,
    image=(1, 6, 6),
    dim=8,
    heads=2,
    blocks=1,
    timesteps=3,
    neuron=HARD,
    classes=3,
    **settings,
):
    """A spiking ViT with batch statistics as if it had been trained."""
    channels, *size = image
    backbone = SpikingViT(
        channels,
        size,
        dim,
        heads,
        blocks,
        timesteps,
        neuron=neuron,
        attention=partial(SpikingAttention, mechanism=mechanism),
        **{"mlp_ratio": 2.0, "stem_strides": (1, 2), **settings},
    )
    net = SpikingNetwork(backbone, ClassificationHead(dim, classes)).eval()
    enliven(net)
    return net


def enliven(net: nn.Module) -> None:
    """Give batch norms statistics and weights with which neurons fire now and then."""
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0.0, 0.2)
            module.running_var.uniform_(0.2, 1.2)
            module.weight.data.uniform_(0.3, 1.8)
            module.bias.data.normal_(0.2, 0.3)


def camera(timesteps=3, samples=4):
    """A spiking ViT for events of two polarities, and recordings for it."""
    net = vit(image=(2, 6, 6), timesteps=timesteps, encoding=EventCoding(timesteps))
    random = torch.Generator().manual_seed(5)
    return net, (torch.rand(samples, timesteps, 2, 6, 6, generator=random) < 0.3).float()


def late(timesteps=3, lags=(2, 1, 3), **settings):
    """The two layers, whose spikes take some timesteps of the sample beside."""
    graph = two_layers(timesteps, **settings)
    projections = [
        replace(p, delay=p.delay + lag, lag=lag)
        for p, lag in zip(graph.projections, lags, strict=True)
    ]
    return replace(graph, projections=tuple(projections))


def lasting(graph, current_decay=0.6):
    """A graph whose currents last."""
    populations = {
        name: replace(p, current_decay=current_decay if p.kind == "lif" else 0.0)
        for name, p in graph.populations.items()
    }
    return replace(graph, populations=populations)


def heard(timesteps=10, samples=5, max_delay=4):
    """A network of learnt delays, and recordings for it."""
    backbone = SpikingDelayNetwork(
        1, (1, 9), 12, 2, timesteps, 0.3, max_delay=max_delay, neuron=HARD
    )
    net = SpikingNetwork(backbone, ClassificationHead(12, 3)).eval()
    enliven(net)
    random = torch.Generator().manual_seed(5)
    return net, (torch.rand(samples, timesteps, 1, 1, 9, generator=random) < 0.4).float()


def two_layers(timesteps=3, *, kind="spikes", seed=0):
    """A graph 4 -> 5 -> 3 with a shortcut from the source to the last population."""
    rng = np.random.default_rng(seed)
    delay = 0 if kind == "values" else 1
    first = 1 if kind == "spikes" else 0
    populations = [
        Population("in", (4,), kind),
        Population("one", (5,), decay=0.5, bias=rng.normal(size=5), depth=first),
        Population("two", (3,), decay=0.25, threshold=0.7, depth=first + 1),
    ]

    def weights(out, into):
        return TokenLinear(rng.normal(size=(out, into)))

    projections = (
        Projection("in", "one", weights(5, 4), delay),
        Projection("one", "two", weights(3, 5), 1),
        Projection("in", "two", weights(3, 4), 0 if kind == "values" else 2),
    )
    readout = Readout((2,), (("two", weights(2, 3)), ("one", weights(2, 5))), rng.normal(size=2))
    return SpikeGraph(timesteps, {p.name: p for p in populations}, projections, readout)


def spikes_for(graph: SpikeGraph, samples: int, seed=1):
    """Random inputs for a graph's sources."""
    rng = np.random.default_rng(seed)
    return {
        source.name: rng.normal(size=(samples, source.size))
        if source.kind == "values"
        else (rng.random((samples, graph.timesteps, source.size)) < 0.4).astype(np.uint8)
        for source in graph.sources
    }


def images(samples: int, shape=(1, 6, 6)):
    """Random images in the range of every encoder."""
    return torch.rand(samples, *shape)


def with_a_skip() -> SpikeGraph:
    """Spikes that reach the third layer directly, three steps later."""
    rng = np.random.default_rng(0)

    def weights(rows: int, columns: int) -> TokenLinear:
        return TokenLinear(rng.normal(0.2, 0.6, (rows, columns)), 1)

    populations = {
        "in": Population("in", (5,), "spikes"),
        "a": Population("a", (6,), decay=0.5, bias=rng.normal(0, 0.2, 6), depth=1),
        "b": Population("b", (4,), decay=0.3, depth=2),
        "c": Population("c", (3,), decay=0.5, bias=rng.normal(0, 0.2, 3), depth=3),
    }
    projections = (
        Projection("in", "a", weights(6, 5), 1),
        Projection("a", "b", weights(4, 6), 1),
        Projection("in", "c", weights(3, 5), 3),
        Projection("a", "c", weights(3, 6), 2),
        Projection("b", "c", weights(3, 4), 1),
    )
    return SpikeGraph(6, populations, projections)


def text(
    *,
    mechanism=QKTokenAttention,
    vocab=30,
    length=7,
    dim=8,
    heads=2,
    blocks=1,
    timesteps=3,
    neuron=HARD,
    head=ClassificationHead,
    outputs=3,
    **settings,
):
    """A spiking transformer over token ids, its statistics as if it had been trained."""
    backbone = SpikingTransformer(
        vocab,
        dim,
        heads,
        blocks,
        timesteps,
        max_length=length,
        mlp_ratio=2.0,
        neuron=neuron,
        attention=partial(SpikingAttention, mechanism=mechanism),
        **settings,
    )
    net = SpikingNetwork(backbone, head(dim, outputs)).eval()
    enliven(net)
    backbone.token_embedding.weight.data.normal_()
    backbone.position_embedding.weight.data.normal_(0.0, 0.5)
    return net


def sentences(lengths, *, vocab=30, length=7, seed=0):
    """Random token ids of given lengths, padded to `length`, and their mask."""
    ids = torch.randint(
        vocab, (len(lengths), length), generator=torch.Generator().manual_seed(seed)
    )
    mask = torch.arange(length) < torch.tensor(lengths)[:, None]
    return {"input_ids": ids, "mask": mask}


def multimodal(fusion_type="cross_attention", modalities=("vision", "audio"), **settings):
    """A network that sees and hears, its statistics as if it had been trained."""
    encoders = {
        "vision": VisionSpikeEncoder(8, 3, in_channels=1, strides=(1, 2), neuron=HARD),
        "audio": AudioSpikeEncoder(
            8, 3, n_fft=64, hop_length=60, num_mels=6, strides=(2, 2), neuron=HARD
        ),
        "text": TextSpikeEncoder(16, 8, 3, max_length=5, neuron=HARD),
    }
    fusion = FusionConfig(fusion_type, shared_dim=8, num_heads=2, timesteps=3, temperature=2.0)
    settings = {"num_layers": 1, "mlp_ratio": 2.0, "neuron": HARD, **settings}
    net = MultiModalNetwork(encoders, fusion, 3, modalities=modalities, **settings).eval()
    enliven(net)
    for module in net.modules():
        if isinstance(module, nn.Embedding):
            module.weight.data.normal_()
    return net


def seen_and_heard(samples: int, modalities=("vision", "audio"), seed=0):
    """Random images, waveforms and token ids."""
    random = torch.Generator().manual_seed(seed)
    every = {
        "vision": torch.rand(samples, 1, 6, 5, generator=random),
        "audio": torch.randn(samples, 500, generator=random),
        "text": torch.randint(16, (samples, 4), generator=random),
    }
    return {name: every[name] for name in modalities}


@cache
def converted(kind="vit_classifier", timesteps=3, **coding):
    """A converted network of `transformers` with one block, and inputs for it."""
    torch.manual_seed(3)
    inputs = originals.images(2) if kind in ("vit_classifier", "deit") else originals.sentences(2)
    net = getattr(originals, kind)()
    return SpikeformerConverter(timesteps, **coding).convert(net, inputs), inputs


@cache
def hosted(**coding):
    """The graph of the converted classifier of images, and arrays of its sources."""
    snn, inputs = converted(**coding)
    values = {name: x.double().flatten(1).numpy() for name, x in inputs.items()}
    return lower(snn, {"pixel_values": (3, 16, 16)}).graph, values
