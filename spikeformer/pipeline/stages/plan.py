"""The stage that estimates how many chips a network takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from spikeformer.error_handling import ConfigurationError, HardwareCompatibilityError
from spikeformer.hardware import InputShape, packet_rates, reference_spikes
from spikeformer.hardware.deployer import known_input_shape
from spikeformer.i18n import t
from spikeformer.pipeline.run import Run
from spikeformer.pipeline.stages.hardware import (
    chip_samples,
    lowered_network,
    make_deployer,
    wants_chip,
)
from spikeformer.pipeline.stages.stage import Stage
from spikeformer.runs import PlanResults, RunFolder


class Plan(Stage):
    """Counts cores, chips and the spikes between chips, for networks of any size.

    Neurons fire at `hardware.rate`, or as measured in PyTorch where there is a checkpoint.
    """

    name = "plan"
    takes_data = False
    config_keys = ("data", "model", "task", "checkpoint", "seed", "hardware")

    def is_wanted(self, config: DictConfig) -> bool:
        """Refuse a configuration without a target."""
        if not wants_chip(config):
            raise ConfigurationError(t("hardware.no_cores_to_plan", target="none"))
        return True

    def run(self, run: Run) -> dict[str, Any]:
        """Plan, and write `results/plan.json`."""
        deployer = make_deployer(run.config)
        rates: Mapping[str, float] | float = run.config.hardware.rate
        if run.config.checkpoint:
            net, samples = run.trained(), chip_samples(run.parts.data, run.config.hardware.samples)
            lowered = lowered_network(deployer, net, samples.shape)
            reference = run.parts.services.reference(net, samples.inputs)
            rates = packet_rates(reference_spikes(lowered.graph, reference))
        else:
            net = run.parts.module.net.eval()
            lowered = lowered_network(deployer, net, _declared_shape(run))
        results = PlanResults(**vars(deployer.plan(lowered, rates=rates)))
        results.save(RunFolder(run.folder))
        return {"target": results.target, **results.numbers()}

    def outputs(self, run: Run) -> list[Path]:
        """Return the plan."""
        return [run.folder / PlanResults.file]

    def summary(self, result: Mapping[str, Any]) -> str:
        """Return cores, chips and what crosses between them."""
        cores, chips = result["cores"], result["chips"]
        crossing = t("pipeline.planned", crossing=result["crossing_per_step"])
        placed = t("pipeline.cores_on_chips", cores=cores, count=chips)
        return f"{result['target']}: {placed}, {crossing}"


def _declared_shape(run: Run) -> InputShape:
    """Return the shape of a sample that the network declares, or else that of the data."""
    try:
        return known_input_shape(run.parts.module.net)
    except HardwareCompatibilityError:
        return chip_samples(run.parts.data, 1, "fit").shape
