"""Networks that a chip cannot take are told from those it can, layer by layer."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from spikeformer.cross_platform import FOLDER_VARIABLE
from spikeformer.error_handling import ArgumentError
from spikeformer.hardware import LOIHI2, Loihi2Deployer
from spikeformer.models import SpikingAttention
from spikeformer.models.mechanisms import SpikingSelfAttention
from spikeformer.neurons import AdLifNeuron, LifNeuron
from spikeformer.validation import ComprehensiveValidator, hardware_names
from tests.hardware.networks import converted
from tests.validation.networks import OverTime, vit


def told(model, hardware="loihi2", level="strict"):
    results = ComprehensiveValidator(level).validate_hardware_compatibility(hardware, model=model)
    return [(r.level.value, r.location, r.message) for r in results]


def find(results, level, message):
    return [place for severity, place, text in results if severity == level and message in text]


LAYERS = {
    "soft reset": ({"neuron": LifNeuron}, "resets by reset='subtract'"),
    "other neuron": ({"neuron": AdLifNeuron}, "dynamics that are not those"),
    "layer norm": ({"norm": "layer"}, "takes its statistics from each input"),
    "attention": (
        {"attention": partial(SpikingAttention, mechanism=SpikingSelfAttention)},
        "multiplies queries, keys and values",
    ),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("hardware", ["simulation", "loihi2", "spinnaker"])
def test_layers_without_a_place(name, hardware):
    changes, message = LAYERS[name]
    places = find(told(vit(**changes), hardware, "basic"), "error", message)
    assert places
    assert all(place.startswith("backbone.") for place in places)


@pytest.mark.parametrize("hardware", hardware_names())
def test_a_network_that_fits(hardware, monkeypatch, tmp_path):
    results = told(vit(), hardware, "comprehensive")
    assert not [result for result in results if result[0] in ("error", "critical")]
    # Without its toolchain there is one warning more, and no other.
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    absent = find(told(vit(), hardware), "warning", "not installed")
    assert bool(absent) == (hardware != "simulation")


def chip(chips=None, **limits):
    """Return a deployer to a smaller Loihi 2, or a smaller board."""

    class Small(Loihi2Deployer):
        target = replace(
            Loihi2Deployer.target, limits=replace(LOIHI2, **limits), chips_per_board=chips
        )

    return Small()


def test_too_many_synapses_for_a_core():
    results = told(vit(), chip(synapse_bytes_per_core=20), level="standard")
    assert find(results, "error", "synapses; a core of Loihi 2 holds 20")
    assert not find(results, "info", "It takes")


def test_relays_count_where_delays_are_long():
    direct, relayed = (
        [text for *_, text in told(vit(), chip(**limits)) if "cores on" in text]
        for limits in ({}, {"max_delay": 1})
    )
    assert len(direct) == len(relayed) == 1
    assert direct != relayed


def test_too_small_a_board():
    assert find(told(vit(), chip(chips=1, cores_per_chip=2)), "warning", "cores on ")
    assert find(told(vit(), chip(chips=None, cores_per_chip=2)), "info", "cores on ")


def test_a_count_is_not_told_where_the_toolchain_places():
    """It would be another number than the one that the placement gives."""
    assert not find(told(vit(), "spinnaker", "comprehensive"), "info", "cores on ")


def test_an_outlier_that_silences_the_other_weights():
    model = vit()
    with torch.no_grad():
        model.backbone.blocks.blocks[0].mlp.contract.weight[0, 0] = 60.0
    results = told(model)
    assert find(results, "warning", "round to zero beside the largest")
    assert not find(told(model, "spinnaker"), "warning", "round to zero")


def test_weights_that_leave_no_threshold():
    model = vit()
    with torch.no_grad():
        model.backbone.blocks.blocks[0].mlp.contract.weight.fill_(1e5)
    assert find(told(model), "error", "no threshold is left")


def test_a_bias_beyond_mantissa_and_exponent():
    model = vit()
    with torch.no_grad():
        model.backbone.blocks.blocks[0].mlp.expand_norm.bias.fill_(1e4)
    assert find(told(model), "error", "Its bias takes")


def test_what_cannot_be_lowered():
    model = torch.nn.Sequential(vit(), OverTime())
    assert find(told(model), "critical", "cannot be lowered")


def test_a_converted_network_goes_where_a_host_is():
    snn, _ = converted()
    assert not [found for found in told(snn) if found[0] in ("error", "critical")]
    assert find(told(snn, "spinnaker"), "critical", "takes plain spikes only")


def test_the_network_validated_last_is_taken():
    validator, model = ComprehensiveValidator(), vit(neuron=LifNeuron)
    assert "No network" in str(validator.validate_hardware_compatibility("simulation"))
    validator.validate_model(model)
    assert "resets by" in str(validator.validate_hardware_compatibility("simulation"))


def test_unknown_hardware_is_refused():
    with pytest.raises(ArgumentError, match="hardware_type"):
        ComprehensiveValidator().validate_hardware_compatibility("abacus")
