"""The stage that fits a network to a chip."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from spikeformer.hardware import HardwareModel, accuracy, outputs_of
from spikeformer.i18n import t
from spikeformer.pipeline.run import Run
from spikeformer.pipeline.stages.finetune import finetune
from spikeformer.pipeline.stages.hardware import (
    ChipSamples,
    chip_network,
    chip_samples,
    hardware_folder,
    lowered_network,
    make_deployer,
    prepared,
    wants_chip,
)
from spikeformer.pipeline.stages.stage import Stage


class Compile(Stage):
    """Compiles the trained network for the target: `hardware/graph.json` and `graph.npz`.

    With `hardware.qat_epochs` it first trains the network on with the rounded weights that the
    target will get.
    """

    name = "compile"
    config_keys = ("data", "model", "task", "checkpoint", "seed", "hardware")

    def is_wanted(self, config: DictConfig) -> bool:
        """Whether there is a target."""
        return wants_chip(config)

    def run(self, run: Run) -> dict[str, Any]:
        """Compile, and return what the network takes of the target."""
        deployer = make_deployer(run.config)
        samples = prepared(run, chip_samples(run.parts.data, run.config.hardware.samples))
        shape = samples.shape
        net = chip_network(run)
        compiled = deployer.compile(lowered_network(deployer, net, shape))
        rounded: dict[str, float] = {}
        if run.config.hardware.qat_epochs:
            rounded["integer_accuracy_before"] = _integer_accuracy(compiled, samples)
            hardware_folder(run)
            assert deployer.target.numbers is not None
            finetune(run, shape, deployer.target.numbers)
            net = run.trained("finetuned")
            compiled = deployer.compile(lowered_network(deployer, net, shape))
            rounded["integer_accuracy"] = _integer_accuracy(compiled, samples)
        compiled.save(hardware_folder(run))
        graph, placement = compiled.graph, compiled.placement
        result: dict[str, Any] = {
            "target": compiled.target,
            "neurons": graph.num_neurons,
            "synapses": graph.num_synapses,
            "latency_steps": graph.latency,
            **rounded,
        }
        if placement is not None:
            result |= {"chips": placement.num_chips, "cores": placement.num_cores}
        return result

    def outputs(self, run: Run) -> list[Path]:
        """Return the compiled network's files."""
        files = [run.folder / "hardware" / name for name in ("graph.json", "graph.npz")]
        return [*files, run.files.finetuned] if run.config.hardware.qat_epochs else files

    def summary(self, result: Mapping[str, Any]) -> str:
        """Return target, cores, latency and, with fine-tuning, what it did to the accuracy."""
        parts = [result["target"]]
        if "cores" in result:
            cores, chips = result["cores"], result["chips"]
            parts.append(t("pipeline.cores_on_chips", cores=cores, count=chips))
        parts.append(t("pipeline.latency_steps", steps=result["latency_steps"]))
        if "integer_accuracy_before" in result:
            before, after = result["integer_accuracy_before"], result["integer_accuracy"]
            parts.append(t("pipeline.tuned_accuracy", before=before, after=after))
        return ", ".join(parts)


def _integer_accuracy(compiled: HardwareModel, samples: ChipSamples) -> float:
    """Return the accuracy of the integer model in NumPy."""
    assert compiled.integers is not None
    inputs = compiled.encode(samples.inputs)
    return accuracy(outputs_of(compiled.integers, inputs), samples.targets)
