"""The stage that runs a compiled network on its target."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from spikeformer.error_handling import ConfigurationError
from spikeformer.files import write_json
from spikeformer.hardware import (
    DeployedModel,
    HardwareModel,
    Reference,
    SpikeGraph,
    accuracy,
    activity,
    agreement,
    compare,
    layer_table,
    record_reference,
    reference_spikes,
    simulate_integers,
    state_ranges,
    traffic,
)
from spikeformer.hardware.graph import Arrays
from spikeformer.pipeline.hardware import (
    ChipSamples,
    chip_samples,
    hardware_folder,
    is_wanted,
    make_deployer,
    trained_network,
)
from spikeformer.pipeline.run import Run
from spikeformer.pipeline.stage import Stage

PYTORCH = "PyTorch in float64"


class Deploy(Stage):
    """Runs test samples on the target and compares every spike with PyTorch's.

    Args:
        required: Whether a configuration without a target is an error; else the stage is left out.
    """

    name = "deploy"
    config_keys = ("data", "model", "task", "checkpoint", "seed", "hardware")

    def __init__(self, required: bool = False) -> None:
        self.required = required

    def applies(self, config: DictConfig) -> bool:
        """Whether there is a target."""
        if self.required and not is_wanted(config):
            raise ConfigurationError(
                "pipeline=deploy needs to know where to: choose hardware=simulation, "
                "hardware=loihi2 or hardware=spinnaker."
            )
        return is_wanted(config)

    def run(self, run: Run) -> dict[str, Any]:
        """Run, compare, and write `results/hardware.json`."""
        samples = chip_samples(run.parts.data, run.config.hardware.samples)
        reference = record_reference(trained_network(run, for_chip=True), samples.inputs)
        compiled = HardwareModel.load(hardware_folder(run))
        with make_deployer(run.config).deploy(compiled) as deployed:
            content = measure(deployed, reference, samples)
        write_json(run.folder / "results" / "hardware.json", content)
        numbers = _numbers(content)
        for logger in run.parts.loggers:
            logger.log_metrics({f"hardware/{key}": value for key, value in numbers.items()})
        return {"target": content["target"], **numbers}

    def outputs(self, run: Run) -> list[Path]:
        """Return the measurements."""
        return [run.folder / "results" / "hardware.json"]

    def summary(self, result: Mapping[str, Any]) -> str:
        """Return mismatches and accuracies."""
        return (
            f"{result['target']}: {result['mismatches']:,} mismatches in real numbers, accuracy "
            f"{result['accuracy']:.2%} in the chip's numbers and {result['accuracy_pytorch']:.2%} "
            f"in PyTorch, on {result['samples']:,} samples"
        )


def measure(deployed: DeployedModel, reference: Reference, samples: ChipSamples) -> dict[str, Any]:
    """Run samples on a deployed network and return all that the report shows of it."""
    compiled, graph = deployed.compiled, deployed.compiled.graph
    expected = reference_spikes(graph, reference)
    start = time.perf_counter()
    real = deployed.execute_float(reference.inputs)
    seconds = {"float": time.perf_counter() - start}
    comparisons = [_compared(graph, PYTORCH, deployed.float_arithmetic, expected, real)]
    chip, states = real, {}
    if deployed.arithmetic != deployed.float_arithmetic:
        start = time.perf_counter()
        chip = deployed.execute(reference.inputs)
        seconds["chip"] = time.perf_counter() - start
        if compiled.integers is not None:
            model, extremes = simulate_integers(compiled.integers, reference.inputs)
            states = state_ranges(extremes)
            comparisons.append(
                _compared(graph, "integers in NumPy", deployed.arithmetic, model, chip)
            )
        comparisons.append(_compared(graph, PYTORCH, deployed.arithmetic, expected, chip))
    outputs = graph.outputs({**reference.inputs, **chip})
    rates = activity(compiled, chip)
    return {
        "target": compiled.target,
        "arithmetic": {"float": deployed.float_arithmetic, "chip": deployed.arithmetic},
        "samples": len(outputs),
        "accuracy": {
            "pytorch": accuracy(reference.outputs, samples.targets),
            "float": accuracy(graph.outputs({**reference.inputs, **real}), samples.targets),
            "chip": accuracy(outputs, samples.targets),
        },
        "agreement": agreement(outputs, reference.outputs),
        "comparisons": comparisons,
        "layers": [
            {**row, **rates[row["layer"]], **states.get(row["layer"], {})}
            for row in layer_table(compiled)
        ],
        "traffic": traffic(graph, chip),
        "seconds": seconds,
        "placement": compiled.placement and compiled.placement.to_dict(),
        "details": compiled.details,
    }


def _compared(
    graph: SpikeGraph, against: str, label: str, expected: Arrays, recorded: Arrays
) -> dict[str, Any]:
    found = compare(graph, expected, recorded)
    return {"expected": against, "recorded": label, **found.to_dict()}


def _numbers(content: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers that stand for the whole."""
    accuracies = content["accuracy"]
    numbers = {
        "samples": content["samples"],
        "mismatches": content["comparisons"][0]["mismatches"],
        "accuracy": accuracies["chip"],
        "accuracy_pytorch": accuracies["pytorch"],
        "agreement": content["agreement"],
        **content["traffic"],
    }
    if len(content["comparisons"]) > 1:
        numbers["chip_mismatches"] = content["comparisons"][-1]["mismatches"]
    if content["placement"]:
        numbers["cores"] = content["placement"]["num_cores"]
        numbers["chips"] = content["placement"]["num_chips"]
    return numbers
