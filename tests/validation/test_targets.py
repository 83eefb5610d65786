"""Names of hardware, and a network beside its target."""

from __future__ import annotations

import pytest
from torch import nn

from spikeformer.error_handling import ArgumentError, HardwareCompatibilityError
from spikeformer.hardware import Loihi2Deployer, SimulationDeployer, SpiNNakerDeployer, lower
from spikeformer.validation.targets import HardwareSubject, deployer_for, hardware_names
from tests.hardware.networks import vit


def test_hardware_names_are_those_of_targets_and_boards():
    found = hardware_names()
    assert {"simulation", "loihi2", "spinnaker"} <= set(found)
    for name, arguments in SpiNNakerDeployer.target.boards.items():
        assert found[name] == (SpiNNakerDeployer, dict(arguments))


def test_deployer_for_a_target_or_a_board():
    assert type(deployer_for("loihi2")) is Loihi2Deployer
    for name in SpiNNakerDeployer.target.boards:
        assert isinstance(deployer_for(name), SpiNNakerDeployer)
    with pytest.raises(ArgumentError, match="hardware_type"):
        deployer_for("abacus")


def test_hardware_subject_lowers_a_network_once_or_says_why_not():
    deployer, net = SimulationDeployer(), vit()
    subject = HardwareSubject(deployer, net, (1, 6, 6))
    assert subject.graph is not None
    assert subject.lowered is subject.lowered
    given = lower(net, (1, 6, 6))
    assert HardwareSubject(deployer, net, (1, 6, 6), given).lowered is given
    assert HardwareSubject(deployer).lowered is None
    obstacle = HardwareSubject(deployer, nn.Sequential(nn.LayerNorm(3)), (3,))
    assert (obstacle.lowered, obstacle.graph) == (None, None)
    silent = HardwareSubject(deployer, nn.Sequential(nn.Linear(3, 3)), (3,))
    assert isinstance(silent.lowered, HardwareCompatibilityError)
    assert silent.graph is None
    assert subject.name == "simulation"
