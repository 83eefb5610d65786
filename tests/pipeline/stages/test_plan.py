"""The plan stage counts the chips of a network that need not be trained."""

from __future__ import annotations

import pytest

from spikeformer.cli import compose
from spikeformer.cli.commands import as_overrides
from spikeformer.error_handling import ConfigurationError, HardwareCompatibilityError
from spikeformer.hardware import LOIHI2, lower, place
from spikeformer.pipeline import Manifest, Plan, Run, build
from spikeformer.reporting import build_report
from spikeformer.runs import PlanResults
from tests.commands import SMALL

LARGER = ("model.d_model=64", "model.num_layers=2", "model.image_size=24", "hardware=loihi2")


def run_of(tmp_path, *overrides):
    config = compose(*SMALL, "logger=none", "trainer.accelerator=cpu", *overrides)
    return Run(
        tmp_path,
        config,
        build(config, tmp_path, takes_data=False),
        Manifest.open(tmp_path, "run"),
        {},
    )


def test_an_untrained_network_of_any_size_is_planned(tmp_path):
    run = run_of(tmp_path, *LARGER, "hardware.rate=0.25")
    result = Plan().run(run)
    placement = place(lower(run.parts.module.net, (1, 24, 24)).graph, LOIHI2)
    found = PlanResults.load(run.files)
    assert (result["cores"], result["chips"]) == (placement.num_cores, placement.num_chips)
    assert {layer.rate for layer in found.layers} == {0.25}
    assert found.largest_system == 1152
    assert not found.measured
    assert f"{placement.num_cores:,} cores" in Plan().summary(result)
    section = build_report(tmp_path).read_text().partition('<section id="plan"')[2]
    assert "This is an estimate" in section.partition("</section>")[0]
    assert (tmp_path / "figures" / "plan.svg").is_file()


def test_rates_of_a_checkpoint_are_measured(prepared, monkeypatch):
    config = prepared.config.copy()
    config.checkpoint = str(prepared.last_checkpoint)
    monkeypatch.setattr(prepared, "config", config)
    with pytest.raises(HardwareCompatibilityError, match="hardware=simulation has no cores"):
        Plan().run(prepared)
    config.hardware = compose(*SMALL, "hardware=loihi2", "hardware.samples=16").hardware
    Plan().run(prepared)
    found = PlanResults.load(prepared.files)
    assert found.measured
    assert len({layer.rate for layer in found.layers}) > 2


def test_a_plan_needs_a_target():
    with pytest.raises(ConfigurationError, match="hardware=none has no cores to plan"):
        Plan().is_wanted(compose(*SMALL, "hardware=none"))
    assert as_overrides(["plan", "hardware=loihi2"]) == ["pipeline=plan", "hardware=loihi2"]
