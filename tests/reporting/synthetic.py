"""A run folder with the files that a real run leaves, from a seeded generator."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from spikeformer.hardware import (
    ChipLayer,
    ChipLimits,
    Comparison,
    Core,
    LayerComparison,
    Placement,
)
from spikeformer.neurons import LifNeuron
from spikeformer.profiling import EnergyEstimate, EnergyProfiler, Range
from spikeformer.runs import (
    EnergyResults,
    ExampleResults,
    FitResults,
    HardwareResults,
    RunFolder,
    SampleResults,
    TestResults,
    ValidationResults,
)
from spikeformer.validation import ValidationLevel, ValidationResult

EPOCHS, CLASSES, TIMESTEPS = 40, 10, 4
LAYERS = [
    "backbone.stem.0.neuron",
    "backbone.stem.1.neuron",
    *(
        f"backbone.blocks.{block}.{part}"
        for block in (0, 1)
        for part in (
            "attention.query_neuron",
            "attention.key_neuron",
            "attention.output_neuron",
            "mlp.hidden_neuron",
            "mlp.output_neuron",
        )
    ),
]
CONFIG = """\
data:
  _target_: spikeformer.data.DigitsDataModule
  batch_size: 64
model:
  _target_: spikeformer.models.SpikingViT
  d_model: 96
  num_blocks: 2
neuron:
  _target_: spikeformer.neurons.LifNeuron
  tau_mem: 2.0
  threshold: 1.0
seed: 1
"""


def write_run(folder: Path, seed: int = 0) -> Path:
    """Write a finished digits run: 40 epochs, 10 classes, 12 layers, 4 timesteps."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results").mkdir(exist_ok=True)
    write_history(folder, rng)
    write_test(folder, rng)
    write_sample(folder, rng)
    images, classes = rng.random((3, 1, 8, 8)), np.arange(3)
    ExampleResults(images, classes, classes[::-1], np.full(3, 0.75)).save(RunFolder(folder))
    write_hardware(folder)
    write_energy(folder)
    write_validation(folder)
    FitResults(EPOCHS, 920, 83.4, 412_345, {"val/accuracy": 0.98}).save(RunFolder(folder))
    stages = {
        "fit": {"status": "done", "seconds": 83.4, "result": {"num_parameters": 412_345}},
        "test": {"status": "done", "seconds": 0.84, "result": {"accuracy": 0.975}},
        "report": {"status": "running"},
    }
    manifest = {"name": "spiking_vit-digits", "created": "2025-03-04T10:20:30", "stages": stages}
    write_json(folder / "manifest.json", manifest)
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "overrides.yaml").write_text("- model=spiking_vit\n- neuron.tau_mem=2.0\n- seed=1\n")
    environment = {
        "python": "3.11.9",
        "platform": "Linux-6.1.0-x86_64-with-glibc2.36",
        "cpu": "AMD EPYC 7B13",
        "cores": 2,
        "memory_gib": 7.76,
        "gpu": None,
        "packages": {"torch": "2.11.0", "lightning": "2.6.1", "numpy": "2.3.1"},
        "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": True},
        "seed": 1,
        "command": "python train.py model=spiking_vit neuron.tau_mem=2.0 seed=1",
    }
    write_json(folder / "environment.json", environment)
    return folder


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


def write_energy(folder: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 20), LifNeuron(), nn.GELU(), nn.Linear(20, 4))
    profiler = EnergyProfiler("loihi1")
    with torch.no_grad(), profiler.measure() as recording:
        model(torch.linspace(0, 4, 2 * TIMESTEPS * 6).view(2, TIMESTEPS, 6))
    EnergyResults.of(profiler, recording).save(RunFolder(folder))


def write_validation(folder: Path) -> None:
    """Write what the validate stage finds: one thing to know and one to mend."""
    results = [
        ValidationResult(ValidationLevel.INFO, "12 % of the features are the same.", "train"),
        ValidationResult(ValidationLevel.WARNING, "It never fires.", LAYERS[0], "Lower it.", 0.0),
    ]
    ValidationResults(ValidationLevel.STRICT, results).save(RunFolder(folder))


def write_history(folder: Path, rng: np.random.Generator) -> None:
    epoch = np.arange(EPOCHS)
    fall = np.exp(-epoch / 7)
    noise = rng.normal(0, 0.012, (4, EPOCHS))
    frame = {
        "epoch": epoch,
        "seconds": rng.normal(2.1, 0.05, EPOCHS),
        "train/loss": 0.02 + 2.2 * fall + np.abs(noise[0]),
        "train/accuracy": np.clip(1 - 0.85 * fall - 0.004 - np.abs(noise[1]) / 4, 0, 1),
        "train/firing_rate": 0.11 + 0.08 * fall + noise[2] / 8,
        "val/loss": 0.07 + 2.1 * fall + np.abs(noise[3]),
        "val/accuracy": np.clip(0.988 - 0.8 * fall + noise[1] / 4, 0, 1),
        "val/firing_rate": 0.112 + 0.078 * fall + noise[3] / 8,
        "lr": 1e-3 * (1 + np.cos(np.pi * epoch / EPOCHS)) / 2,
    }
    pd.DataFrame(frame).to_csv(folder / "metrics.csv", index=False)


def write_test(folder: Path, rng: np.random.Generator) -> None:
    matrix = np.diag(np.full(CLASSES, 36))
    for true, predicted in ((8, 1), (8, 3), (5, 9), (4, 7)):
        matrix[true, true] -= 1
        matrix[true, predicted] += 1
    rates = dict(zip(LAYERS, rng.uniform(0.03, 0.28, len(LAYERS)).round(4).tolist(), strict=True))
    TestResults(
        metrics={"accuracy": 356 / 360, "loss": 0.0713, "firing_rate": 0.1127},
        class_names=[str(index) for index in range(CLASSES)],
        confusion_matrix=matrix,
        firing_rates=rates,
        silent={**dict.fromkeys(LAYERS, 0.0), LAYERS[4]: 0.0625, LAYERS[9]: 0.021},
        saturated={**dict.fromkeys(LAYERS, 0.0), LAYERS[4]: 0.0104, LAYERS[1]: 0.0313},
        num_samples=360,
    ).save(RunFolder(folder))


def write_hardware(folder: Path) -> None:
    """Write what the deploy stage leaves for two layers on three cores of a chip."""
    limits = ChipLimits(
        name="Loihi 2",
        cores_per_chip=128,
        neurons_per_core=8192,
        synapse_bytes_per_core=131072,
        bytes_per_weight=1,
        max_delay=64,
        source="a technology brief",
    )
    cores = (
        Core(0, 0, LAYERS[0], 0, 512, 4096, 4096),
        Core(0, 1, LAYERS[1], 0, 128, 65536, 65536),
        Core(0, 2, LAYERS[1], 128, 128, 65536, 65536),
    )
    layers = [
        ChipLayer(
            name, neurons, synapses, 1, depth, 0.125, cores=depth + 1, synapse_bytes=synapses,
            weights=(-255, 201), threshold=255, decay=2048, rounding_error=0.002,
            state=(-812.5, 603.0), state_used=0.006, clipped=0,
        )
        for depth, (name, neurons, synapses) in enumerate(
            [(LAYERS[0], 512, 4096), (LAYERS[1], 256, 131072)]
        )
    ]  # fmt: skip
    HardwareResults(
        target="loihi2",
        simulated=True,
        arithmetic={"float": "reals_lava", "chip": "integers_lava"},
        samples=128,
        accuracy={"pytorch": 0.984375, "float": 0.984375, "chip": 0.9765625},
        agreement=0.9921875,
        comparisons=[
            Comparison(128, (LayerComparison(LAYERS[0], 40_000, count, 393_216, None),)).between(
                "pytorch_float64", recorded
            )
            for recorded, count in (("reals_lava", 0), ("integers_lava", 1024))
        ],
        layers=layers,
        traffic={
            "latency_steps": 5,
            "steps_per_sample": TIMESTEPS,
            "spikes_per_sample": 384.0,
            "packets_per_sample": 512.5,
            "synaptic_events_per_sample": 65536.0,
        },
        energy=[
            EnergyEstimate(
                energy_uj=Range(0.0, 1.75, 2.5),
                breakdown={"synapses": Range(0.0, 1.75, 2.5)},
                layers={},
                technology="loihi2",
                source="a publication",
                uncovered={},
            )
        ],
        seconds={"float": 3.2, "chip": 2.1},
        placement=Placement(limits, cores),
        details={},
    ).save(RunFolder(folder))


def write_sample(folder: Path, rng: np.random.Generator) -> None:
    y, x = np.mgrid[0:8, 0:8]
    ring = np.exp(-((np.hypot(x - 3.5, (y - 3.5) * 0.8) - 2.2) ** 2))
    output = rng.normal(0, 0.4, (TIMESTEPS, CLASSES))
    output[:, 0] += np.array([0.6, 1.9, 2.6, 3.1])
    spikes = {}
    for layer, rate in zip(LAYERS, rng.uniform(0.03, 0.28, len(LAYERS)), strict=True):
        each = rng.beta(0.6, 0.6 / rate, 256)
        spikes[layer] = (rng.random((TIMESTEPS, 256)) < each).astype(np.uint8)
    SampleResults(
        inputs={"input": ring[None].astype(np.float32)},
        target=np.array(0),
        prediction=np.array(0),
        output=output.astype(np.float32),
        spikes=spikes,
    ).save(RunFolder(folder))
