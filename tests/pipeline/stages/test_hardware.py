"""What cannot go to a chip is refused before anything is trained."""

from __future__ import annotations

import pytest
import torch

from spikeformer.cli import compose as composed
from spikeformer.error_handling import (
    ArgumentError,
    ConfigurationError,
    HardwareCompatibilityError,
)
from spikeformer.hardware import SimulationDeployer
from spikeformer.pipeline import Deploy, Verify, build
from spikeformer.pipeline.stages.hardware import (
    RECORDS,
    check_hardware,
    check_memory,
    chip_samples,
    make_deployer,
)
from tests.commands import SMALL
from tests.hardware.networks import two_layers

QUIET = ("logger=none", "trainer.accelerator=cpu", "hardware=simulation", *SMALL)


def check(tmp_path, *overrides):
    config = composed(*QUIET, *overrides)
    parts = build(config, tmp_path)
    check_hardware(config, parts)
    return parts


@pytest.mark.parametrize("attention", ["qk_token", "sdsa"])
@pytest.mark.parametrize("residual", ["membrane", "sew"])
def test_the_digits_model_has_a_place(tmp_path, attention, residual):
    parts = check(tmp_path, f"attention={attention}", f"model.residual={residual}")
    # There it computes what it does in PyTorch.
    net, samples = parts.module.net.double().eval(), torch.rand(2, 1, 8, 8, dtype=torch.float64)
    found = SimulationDeployer().deploy(net).run(samples).outputs
    with torch.no_grad():
        expected = net(samples).mean(dim=1)
    torch.testing.assert_close(torch.from_numpy(found), expected)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("neuron=lif", "neuron=lif_hard"),
        ("neuron=adlif", "neuron=lif_hard"),
        ("attention=ssa", "attention=qk_token"),
        ("model.norm=layer", "model.norm=batch"),
    ],
)
def test_a_layer_without_a_place_is_named_with_the_remedy(tmp_path, override, message):
    with pytest.raises(HardwareCompatibilityError, match=message):
        check(tmp_path, override)


def test_missing_toolchain_is_told_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("SPIKEFORMER_TOOLCHAINS", str(tmp_path / "none"))
    for target in ("loihi2", "spinnaker"):
        with pytest.raises(HardwareCompatibilityError, match="make toolchains"):
            check(tmp_path, f"hardware={target}")


def test_targets_with_real_weights_need_no_fine_tuning(tmp_path):
    with pytest.raises(ConfigurationError, match=r"hardware\.qat_epochs=0"):
        check(tmp_path, "hardware.qat_epochs=2")


def test_no_samples_make_no_comparison(tmp_path):
    with pytest.raises(ArgumentError, match=r"hardware\.samples"):
        check(tmp_path, "hardware.samples=0")


def test_tasks_without_classes_are_refused(tmp_path):
    config = composed(*QUIET)
    data = build(config, tmp_path).data
    loader = data.test_dataloader

    def regression():
        for images, classes in loader():
            yield images, classes.float()

    data.setup("test")
    data.test_dataloader = regression
    with pytest.raises(ConfigurationError, match="hardware=none"):
        chip_samples(data, 3)


def test_samples_are_the_first_of_the_test_split(tmp_path):
    data = build(composed(*QUIET), tmp_path).data
    few, many = chip_samples(data, 3), chip_samples(data, 200)
    assert (few.inputs == many.inputs[:3]).all()
    assert (few.targets == many.targets[:3]).all()
    assert many.inputs.shape == (200, 1, 8, 8)


def test_settings_of_the_stages_are_not_the_deployers():
    assert isinstance(make_deployer(composed(*QUIET, "hardware.samples=7")), SimulationDeployer)


def test_stages_are_left_out_without_a_target():
    nowhere = composed(*QUIET, "hardware=none")
    assert not Verify().is_wanted(nowhere)
    assert not Deploy().is_wanted(nowhere)
    assert Deploy().is_wanted(composed(*QUIET))
    with pytest.raises(ConfigurationError, match="hardware=loihi2"):
        Deploy(required=True).is_wanted(nowhere)


def test_samples_whose_spikes_do_not_fit_are_refused_before_they_run():
    graph = two_layers()
    each = RECORDS * graph.num_neurons * graph.timesteps
    check_memory(graph, 5, available=5 * each)
    with pytest.raises(ConfigurationError, match=r"choose hardware\.samples=5 or fewer"):
        check_memory(graph, 6, available=6 * each - 1)
