"""The stage that proves a network's spike graph equal to the network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from spikeformer.hardware import accuracy, compare, reference_spikes, simulate
from spikeformer.hardware.measurement import GRAPH, PYTORCH, PYTORCH_FLOAT32
from spikeformer.i18n import t
from spikeformer.pipeline.run import Run
from spikeformer.pipeline.stages.hardware import (
    check_hardware,
    check_memory,
    chip_network,
    chip_samples,
    lowered_network,
    make_deployer,
    prepared,
    wants_chip,
)
from spikeformer.pipeline.stages.stage import Stage
from spikeformer.runs import RunFolder, VerificationResults


class Verify(Stage):
    """Lowers the trained network and compares it with PyTorch spike for spike.

    Before anything is trained it makes sure that the toolchain is there and every layer is
    supported.
    """

    name = "verify"
    config_keys = ("data", "model", "task", "checkpoint", "seed", "hardware")

    def is_wanted(self, config: DictConfig) -> bool:
        """Whether there is a target."""
        return wants_chip(config)

    def check(self, run: Run) -> None:
        """Refuse a network that the target does not support, and a target without toolchain."""
        check_hardware(run.config, run.parts)

    def run(self, run: Run) -> dict[str, Any]:
        """Compare, and write `hardware/equivalence.json`."""
        net = chip_network(run)
        samples = prepared(run, chip_samples(run.parts.data, run.config.hardware.samples))
        deployer = make_deployer(run.config)
        graph = lowered_network(deployer, net, samples.shape).graph
        check_memory(graph, len(samples.targets))
        reference = run.parts.services.reference(net, samples.inputs)
        single = run.parts.services.reference(net, samples.inputs, torch.float32)
        expected = reference_spikes(graph, reference)
        comparison = compare(graph, expected, simulate(graph, reference.inputs))
        rounding = compare(graph, expected, reference_spikes(graph, single))
        results = VerificationResults(
            comparison.between(PYTORCH, GRAPH), rounding.between(PYTORCH, PYTORCH_FLOAT32)
        )
        results.save(RunFolder(run.folder))
        return {
            **results.numbers(),
            "accuracy": accuracy(reference.outputs, samples.targets),
            "neurons": graph.num_neurons,
            "synapses": graph.num_synapses,
        }

    def outputs(self, run: Run) -> list[Path]:
        """Return the comparison."""
        return [run.folder / VerificationResults.file]

    def summary(self, result: Mapping[str, Any]) -> str:
        """Return the size of the graph and its mismatches."""
        numbers = ("neurons", "synapses", "mismatches", "compared", "samples")
        return t("pipeline.validated", **{name: result[name] for name in numbers})
