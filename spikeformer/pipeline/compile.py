"""The stage that fits a network to a chip."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from spikeformer.pipeline.hardware import (
    chip_samples,
    hardware_folder,
    is_wanted,
    make_deployer,
    trained_network,
)
from spikeformer.pipeline.run import Run
from spikeformer.pipeline.stage import Stage


class Compile(Stage):
    """Compiles the trained network for the target: `hardware/graph.json` and `graph.npz`."""

    name = "compile"
    config_keys = ("data", "model", "task", "checkpoint", "seed", "hardware")

    def applies(self, config: DictConfig) -> bool:
        """Whether there is a target."""
        return is_wanted(config)

    def run(self, run: Run) -> dict[str, Any]:
        """Compile, and return what the network takes of the target."""
        shape = chip_samples(run.parts.data, 1).inputs.shape[1:]
        compiled = make_deployer(run.config).compile(trained_network(run), input_shape=shape)
        compiled.save(hardware_folder(run))
        graph, placement = compiled.graph, compiled.placement
        result: dict[str, Any] = {
            "target": compiled.target,
            "neurons": graph.num_neurons,
            "synapses": graph.num_synapses,
            "latency_steps": graph.latency,
        }
        if placement is not None:
            result |= {"chips": placement.num_chips, "cores": placement.num_cores}
        return result

    def outputs(self, run: Run) -> list[Path]:
        """Return the compiled network's files."""
        return [run.folder / "hardware" / name for name in ("graph.json", "graph.npz")]

    def summary(self, result: Mapping[str, Any]) -> str:
        """Return target, cores and latency."""
        parts = [result["target"]]
        if "cores" in result:
            chips = "chip" if result["chips"] == 1 else "chips"
            parts.append(f"{result['cores']:,} cores on {result['chips']:,} {chips}")
        return ", ".join([*parts, f"latency {result['latency_steps']:,} steps"])
