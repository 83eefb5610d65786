"""Levels, results, and no false alarm on anything that is shipped."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from spikeformer.cli import compose as composed
from spikeformer.config import instantiate
from spikeformer.error_handling import ArgumentError
from spikeformer.pipeline import build_network
from spikeformer.validation import (
    ComprehensiveValidator,
    ValidationLevel,
)
from tests.commands import options
from tests.configs.test_groups import overrides_for
from tests.validation.networks import chain, vit
from tests.validation.samples import IMAGES

PUBLISHED = ("maxformer", "qkformer", "spike_driven", "spikformer", "spikingformer")
SHIPPED = [
    f"{group}={name}"
    for group in ("neuron", "encoding", "attention", "model")
    for name in options(group)
    # The sizes of a family have the same layers; what is loaded from a file needs one.
    # The dense network is silent until it is trained; its experiment says so. Published networks
    # are made for larger images: of a digit one token is left, on which attention is silent; and on
    # the few tokens of a digit pooled attention always fires.
    if name not in ("pretrained", "nir", "dense", "sdsa_pooled")
    and not name.endswith(("_base", "_small"))
    if not name.startswith(PUBLISHED)
]


def test_the_example_of_the_reference():
    validator = ComprehensiveValidator()
    results = validator.validate_model(nn.Sequential(nn.Linear(3, 3)))
    errors = [result for result in results if result.level == ValidationLevel.ERROR]
    assert [result.message for result in errors] == ["Sequential has no spiking layer."]
    assert validator.validation_level == ValidationLevel.STANDARD


def test_a_level_goes_by_its_name_and_a_severity_is_none():
    assert ComprehensiveValidator("strict").validation_level is ValidationLevel.STRICT
    for wrong in ("harsh", ValidationLevel.ERROR, None):
        with pytest.raises(ArgumentError, match="'basic', 'standard', 'strict'"):
            ComprehensiveValidator(wrong)


@pytest.mark.parametrize("make", [vit, chain])
def test_a_healthy_network_has_none(make):
    assert ComprehensiveValidator("comprehensive").validate_model(make()) == []


def test_the_network_is_not_changed():
    net = vit()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    state = torch.random.get_rng_state()
    ComprehensiveValidator("comprehensive").validate_model(net)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert net.training
    assert all(p.grad is None for p in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())


def test_a_critical_finding_ends_the_checks():
    network = chain()
    nn.init.constant_(network[0].weight, math.nan)
    results = ComprehensiveValidator("comprehensive").validate_model(network)
    assert results[-1].level is ValidationLevel.CRITICAL
    assert len(results) == 1


def test_the_network_validated_last_is_taken():
    validator, model = ComprehensiveValidator(), vit()
    assert validator.validate_input_data(IMAGES[:, :, :7]) == []
    validator.validate_model(model)
    (result,) = validator.validate_input_data(IMAGES[:, :, :7])
    assert (result.level.value, "shape" in result.message) == ("error", True)


@pytest.mark.parametrize("choice", SHIPPED)
def test_no_false_alarm_on_what_is_shipped(choice):
    network = build_network(composed(*overrides_for(choice)))
    results = ComprehensiveValidator("comprehensive").validate_model(network)
    assert [str(result) for result in results if result.level is not ValidationLevel.INFO] == []


def test_no_false_alarm_on_the_digits():
    config = composed()
    data = instantiate(config.data)
    data.setup()
    results = ComprehensiveValidator("comprehensive").validate_splits(
        data.splits, num_classes=10, batch_size=64, model=build_network(config)
    )
    assert {result.level for result in results} <= {ValidationLevel.INFO}
