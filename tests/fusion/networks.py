"""Small fusions and transformers that fire, and inputs for them."""

from __future__ import annotations

import math
from functools import partial

import torch

from spikeformer.fusion import FUSIONS, FusionConfig, MultiModalSpikeTransformer
from spikeformer.neurons import LifNeuron
from tests.models.firing import calibrate

DIMS = {"vision": 6, "audio": 4, "text": 5}
TOKENS = {"vision": 5, "audio": 3, "text": 1}
T = 3
DECAY = math.exp(-1 / 2.0)
neuron = partial(LifNeuron, tau_mem=2.0, surrogate_type="atan")


def config(fusion_type="cross_attention", **others):
    defaults = {"shared_dim": 8, "num_heads": 2, "dropout": 0.0, "timesteps": T}
    return FusionConfig(fusion_type, **{**defaults, **others})


def spikes(batch=4, names=DIMS):
    return {name: (torch.rand(batch, T, TOKENS[name], DIMS[name]) < 0.5).float() for name in names}


def fusion(fusion_type, inputs, names=DIMS, **others):
    dims = {name: DIMS[name] for name in names}
    made = FUSIONS[fusion_type](config(fusion_type, **others), dims, neuron=neuron, threshold=0.5)
    return calibrate(made, inputs)


def transformer(fusion_type, inputs, seed=0, **others):
    torch.manual_seed(seed)
    settings = {key: others.pop(key) for key in ("temperature",) if key in others}
    made = MultiModalSpikeTransformer(
        config(fusion_type, **settings), DIMS, 3, 1, neuron=neuron, threshold=0.5, **others
    )
    return calibrate(made, inputs)


def lif(current, threshold):
    """Plain LIF over axis 1, soft reset."""
    v, out = torch.zeros_like(current[:, 0]), []
    for x in current.unbind(1):
        v = DECAY * v + x
        fired = (v >= threshold).to(v.dtype)
        v = v - threshold * fired
        out.append(fired)
    return torch.stack(out, 1)


def projected(model, inputs):
    return {name: model.norms[name](model.projections[name](x)) for name, x in inputs.items()}


def in_double(fusion_type, **others):
    inputs = spikes()
    model = fusion(fusion_type, inputs, **others).double()
    return model, {name: x.double() for name, x in inputs.items()}
