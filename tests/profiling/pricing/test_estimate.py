from __future__ import annotations

import dataclasses
import inspect
import re

import pytest

from spikeformer.error_handling import ArgumentError
from spikeformer.profiling import (
    TECHNOLOGIES,
    LayerCounts,
    OperationCounts,
    Range,
    dense_layer,
    estimate,
    event_layer,
    neuron_layer,
)

KIB = 1024


def one(layer: LayerCounts, samples: int = 1) -> OperationCounts:
    return OperationCounts((layer,), samples)


SPIKING = OperationCounts(
    (
        dense_layer(
            "stem",
            "conv",
            macs=1000,
            effective_macs=900,
            inputs=64,
            outputs=128,
            weights=72,
            samples=2,
        ),
        event_layer(
            "fc", "linear", events=50, operations=500, dense=4000, weights=200, targets=10, steps=4
        ),
        neuron_layer("lif", updates=80, spikes=20, neurons=10, steps=4),
    ),
    samples=2,
)


@pytest.mark.parametrize("name", TECHNOLOGIES)
def test_an_estimate_is_the_sum_of_its_parts_and_scales_with_the_work(name):
    result = estimate(SPIKING, name)
    assert Range.total(result.breakdown.values()) == result.energy_uj
    for bound in ("low", "value", "high"):
        total = sum(getattr(energy, bound) for energy in result.layers.values())
        assert total == pytest.approx(getattr(result.energy_uj, bound))
    assert list(result.layers) == ["stem", "fc", "lif"]
    assert result.kind == "estimate"
    once = estimate(dataclasses.replace(SPIKING, samples=1), name)
    if name != "simulation":  # where reuse depends on how often weights must be fetched again
        assert once.energy_uj.value == pytest.approx(2 * result.energy_uj.value)


def test_an_unknown_technology_names_the_known_ones():
    with pytest.raises(ArgumentError, match="'simulation', 'loihi1', 'loihi2', 'spinnaker'"):
        estimate(SPIKING, "tpu")


@pytest.mark.parametrize("name", TECHNOLOGIES)
def test_every_constant_names_its_publication(name):
    for purpose, cost in TECHNOLOGIES[name].costs.items():
        assert re.search(r"doi:|arXiv:|SpiNNMachine", cost.source), purpose
        assert 0 <= cost.energy_pj.low <= cost.energy_pj.high


def test_the_model_needs_no_torch():
    # Conversion and chips feed it counts of their own, so it must not depend on tensors.
    from spikeformer.profiling import estimate as module
    from spikeformer.profiling.counting import counts
    from spikeformer.profiling.pricing import chips, cmos, costs

    for part in (chips, cmos, counts, costs, inspect.getmodule(module)):
        assert "import torch" not in inspect.getsource(part)
