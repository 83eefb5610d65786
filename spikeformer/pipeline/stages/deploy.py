"""The stage that runs a compiled network on its target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from spikeformer.error_handling import ConfigurationError
from spikeformer.hardware import (
    DeployedModel,
    HardwareModel,
    NeuromorphicDeployer,
    SimulatedModel,
    measure,
)
from spikeformer.i18n import t
from spikeformer.pipeline.ranks import announce
from spikeformer.pipeline.run import Run
from spikeformer.pipeline.stages.hardware import (
    check_memory,
    chip_network,
    chip_samples,
    hardware_folder,
    make_deployer,
    prepared,
    wants_chip,
)
from spikeformer.pipeline.stages.stage import Stage
from spikeformer.runs import HardwareResults, RunFolder


class Deploy(Stage):
    """Runs test samples on the target and compares every spike with PyTorch's.

    Args:
        required: Whether a configuration without a target is an error; else the stage is left out.
    """

    name = "deploy"
    config_keys = ("data", "model", "task", "checkpoint", "seed", "hardware")

    def __init__(self, required: bool = False) -> None:
        self.required = required

    def is_wanted(self, config: DictConfig) -> bool:
        """Whether there is a target."""
        if self.required and not wants_chip(config):
            raise ConfigurationError(t("pipeline.needs_target"))
        return wants_chip(config)

    def run(self, run: Run) -> dict[str, Any]:
        """Run, compare, and write `results/hardware.json`."""
        samples = prepared(run, chip_samples(run.parts.data, run.config.hardware.samples))
        net = chip_network(run, "finetuned" if run.config.hardware.qat_epochs else "last")
        compiled = HardwareModel.load(hardware_folder(run))
        check_memory(compiled.graph, len(samples.targets))
        reference = run.parts.services.reference(net, samples.inputs)
        log = partial(announce, self.name)
        deployer = make_deployer(run.config)
        prices = deployer.target.prices
        with _deployed(deployer, compiled, log) as deployed:
            found = measure(deployed, reference, samples.targets, prices=prices, announce=log)
        before = run.manifest.stages["compile"].result.get("integer_accuracy_before")
        results = HardwareResults(**vars(found), accuracy_before=before)
        results.save(RunFolder(run.folder))
        numbers = results.numbers()
        for logger in run.parts.loggers:
            logger.log_metrics({f"hardware/{key}": value for key, value in numbers.items()})
        return {"target": results.target, "simulated": results.simulated, **numbers}

    def outputs(self, run: Run) -> list[Path]:
        """Return the measurements."""
        return [run.folder / HardwareResults.file]

    def summary(self, result: Mapping[str, Any]) -> str:
        """Return mismatches and accuracies."""
        target = result["target"]
        return t(
            "pipeline.deployed",
            target=t("pipeline.simulated", target=target) if result.get("simulated") else target,
            mismatches=result["mismatches"],
            accuracy=result["accuracy"],
            pytorch=result["accuracy_pytorch"],
            samples=result["samples"],
        )


def _deployed(
    deployer: NeuromorphicDeployer, compiled: HardwareModel, log: Callable[[str], None]
) -> DeployedModel:
    """Return the network on its target, or its graph in NumPy if the simulator cannot hold it."""
    synapses, most = compiled.graph.num_synapses, deployer.target.max_synapses
    if most is None or synapses <= most:
        return deployer.deploy(compiled)
    log(t("pipeline.too_many_synapses", synapses=synapses, most=most))
    return SimulatedModel(compiled)
