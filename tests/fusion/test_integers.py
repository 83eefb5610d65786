"""Fusions between integer neurons: what passes a gate is a number of unit spikes."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from spikeformer.fusion import FUSIONS
from spikeformer.neurons import IntegerLifNeuron
from tests.fusion.networks import DIMS, TOKENS, T, config
from tests.models.firing import calibrate

D = 4


@torch.no_grad()
@pytest.mark.parametrize("kind", ["gated", "cross_attention"])
def test_gates_let_whole_unit_spikes_pass(kind):
    inputs = {name: torch.randint(0, D + 1, (3, T, TOKENS[name], DIMS[name])) / D for name in DIMS}
    neuron = partial(IntegerLifNeuron, tau_mem=2.0, max_spikes=D)
    model = FUSIONS[kind](config(kind, temperature=2.0), DIMS, neuron=neuron, threshold=0.25)
    model = calibrate(model, inputs)
    passed = []
    for path, module in model.named_modules():
        if path.endswith(".out") or ".outs." in f".{path}":
            module.register_forward_pre_hook(lambda _, args: passed.append(args[0]))
    model(inputs)
    counts = torch.cat([x.flatten() for x in passed]) * D
    assert len(passed) == len(DIMS)
    # Products of fractions would be sixteenths.
    assert torch.equal(counts, counts.round())
    assert set(counts.unique().tolist()) == set(range(D + 1))
