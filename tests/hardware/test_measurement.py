"""One set of samples says everything about a deployed network, and what it ran in."""

from __future__ import annotations

import pytest

from spikeformer.hardware import (
    HardwareModel,
    Loihi2Deployer,
    SimulatedModel,
    arithmetic_label,
    lower,
    measure,
    quantise,
    record_reference,
)
from spikeformer.i18n import use_locale
from tests.hardware.networks import images, vit


@pytest.fixture(scope="module")
def found():
    net = vit()
    reference = record_reference(net, images(6))
    graph = lower(net, (1, 6, 6)).graph
    deployed = SimulatedModel(HardwareModel("loihi2", graph, integers=quantise(graph)))
    classes = reference.outputs.argmax(axis=1)
    told: list[str] = []
    prices = Loihi2Deployer.target.prices
    return measure(deployed, reference, classes, prices=prices, announce=told.append), told, graph


def test_measure_compares_real_numbers_and_integers(found):
    content, told, _ = found
    rows = [(row.expected, row.recorded) for row in content.comparisons]
    assert rows == [("pytorch_float64", "reals_numpy"), ("pytorch_float64", "integers_numpy")]
    assert content.comparisons[0].mismatches == 0
    assert content.accuracy["pytorch"] == content.accuracy["float"] == 1.0
    assert content.accuracy["chip"] == content.agreement  # the classes are PyTorch's own
    assert told == ["6 samples in real numbers in NumPy", "6 samples in integers in NumPy"]


def test_measure_says_what_it_is_of(found):
    content, _, graph = found
    assert content.simulated is True
    assert content.samples == 6
    assert [row.layer for row in content.layers] == [p.name for p in graph.neurons]
    assert sum(row.synapses for row in content.layers) == graph.num_synapses
    assert [row.technology for row in content.energy] == ["loihi1", "loihi2"]


def test_arithmetic_label_names_what_is_known_and_leaves_the_rest():
    assert arithmetic_label("integers_numpy") == "integers in NumPy"
    assert arithmetic_label("integers of the tiny chip") == "integers of the tiny chip"
    with use_locale("de"):
        assert arithmetic_label("integers_numpy") != "integers in NumPy"
