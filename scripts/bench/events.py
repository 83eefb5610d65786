"""Show that time matters in recordings of events; write docs/benchmarks/events.

python scripts/bench/events.py --data /data/fsdd --seeds 0 1
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import lightning as L
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import machine
from bench.hybrid import train
from spikeformer.data import DigitsDvsDataModule, SpikingDataModule, SpokenSpikesDataModule
from spikeformer.data.datasets import TensorBatches
from spikeformer.encoding import EventCoding
from spikeformer.models import (
    ClassificationHead,
    SpikingDelayNetwork,
    SpikingNetwork,
    SpikingViT,
)
from spikeformer.neurons import LifNeuron
from spikeformer.ops import keep_freed_memory

TABLE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "events"
NEURON = partial(LifNeuron, reset="zero", tau_mem=5.0, surrogate_type="sigmoid")
SPOKEN_STEPS, DIGIT_STEPS, MAX_DELAY = 25, 8, 8
ARMS = {
    "learnt delays": (MAX_DELAY, True, False),
    "fixed random delays": (MAX_DELAY, False, False),
    "no delays": (0, False, False),
    "learnt delays, steps shuffled": (MAX_DELAY, True, True),
    "no delays, steps shuffled": (0, False, True),
}
"""Largest delay, whether it is learnt, and whether each recording's steps are in random order."""


def spoken_network(max_delay: int, learnt: bool) -> nn.Module:
    backbone = SpikingDelayNetwork(
        1,
        (1, 64),
        128,
        2,
        SPOKEN_STEPS,
        max_delay=max_delay,
        dropout=0.2,
        encoding=EventCoding(SPOKEN_STEPS, clamp=True),
        neuron=NEURON,
    )
    for layer in backbone.layers:
        layer.position.requires_grad_(learnt and max_delay > 0)
    return SpikingNetwork(backbone, ClassificationHead(128, 10))


def digits_network() -> nn.Module:
    backbone = SpikingViT(
        2,
        16,
        64,
        4,
        1,
        DIGIT_STEPS,
        mlp_ratio=2.0,
        stem_strides=(2, 2),
        encoding=EventCoding(DIGIT_STEPS, clamp=True),
        neuron=partial(NEURON, tau_mem=1.4427),
    )
    return SpikingNetwork(backbone, ClassificationHead(64, 10))


def shuffled(data: SpikingDataModule, seed: int) -> SpikingDataModule:
    """Return the data with the steps of every recording in an order of its own."""
    generator = torch.Generator().manual_seed(seed)

    def part(found: TensorBatches) -> TensorBatches:
        frames = found.inputs
        order = torch.rand(frames.shape[:2], generator=generator).argsort(dim=1)
        mixed = torch.stack([frame[steps] for frame, steps in zip(frames, order, strict=True)])
        return TensorBatches(mixed, found.targets, unit=1.0)

    changed = copy.copy(data)
    splits = data.splits
    changed._splits = replace(splits, train=part(splits.train), test=part(splits.test))
    return changed


@torch.no_grad()
def by_step(net: nn.Module, data: SpikingDataModule) -> list[float]:
    """Return the accuracy of the mean output after each step, on the test recordings."""
    right: list[Tensor] = []
    for events, labels in data.test_dataloader():
        outputs = net.eval()(events).cumsum(dim=1)
        right.append(outputs.argmax(dim=-1) == labels[:, None])
    return torch.cat(right).float().mean(dim=0).tolist()


def compare(arguments: argparse.Namespace) -> list[dict[str, object]]:
    """Train every arm with every seed, in turn."""
    options = {"timesteps": SPOKEN_STEPS, "val_fraction": 0, "max_shift": 2, "num_classes": 10}
    spoken = SpokenSpikesDataModule(path=arguments.data, **options)
    digits = DigitsDvsDataModule(
        timesteps=DIGIT_STEPS, image_size=(16, 16), val_fraction=0, max_shift=1
    )
    for data in (spoken, digits):
        data.setup()
    runs: list[dict[str, object]] = []

    def add(task: str, arm: str, seed: int, net: nn.Module, data: SpikingDataModule) -> None:
        epochs = arguments.spoken_epochs if task == "spoken" else arguments.digits_epochs
        reached = train(net, data, seed, epochs, arguments.lr)
        parameters = sum(p.numel() for p in net.parameters() if p.requires_grad)
        runs.append(
            {
                "task": task,
                "arm": arm,
                "seed": seed,
                "parameters": parameters,
                "by_step": by_step(net, data),
                "shuffled_in_the_test": by_step(net, shuffled(data, seed))[-1],
                **reached,
            }
        )
        print({k: v for k, v in runs[-1].items() if k != "by_step"}, flush=True)

    for seed in arguments.seeds:
        spoken.seed = digits.seed = seed
        for arm, (max_delay, learnt, mixed) in ARMS.items():
            L.seed_everything(seed, verbose=False)
            data = shuffled(spoken, seed) if mixed else spoken
            add("spoken", arm, seed, spoken_network(max_delay, learnt), data)
        L.seed_everything(seed, verbose=False)
        add("digits", "SpikingViT", seed, digits_network(), digits)
    return runs


def page(result: dict) -> str:
    """Return the comparison as a page of the documentation."""
    runs, settings = result["runs"], result["settings"]
    seeds = sorted({run["seed"] for run in runs})
    rows = []
    for arm in ARMS:
        mine = {run["seed"]: run for run in runs if run["arm"] == arm}
        cells = " | ".join(f"{mine[seed]['accuracy']:.2%}" for seed in seeds)
        mean = statistics.fmean(run["accuracy"] for run in mine.values())
        mixed = statistics.fmean(run["shuffled_in_the_test"] for run in mine.values())
        parameters = next(iter(mine.values()))["parameters"]
        rows.append(f"| {arm} | {parameters:,} | {cells} | **{mean:.2%}** | {mixed:.2%} |")
    heads = " | ".join(f"seed {seed}" for seed in seeds)
    table = "\n".join(rows)
    hardware = result["machine"]
    return f"""# Recordings of events

Does the order of the steps matter, and do delays help? Spoken digits as spikes of a simulated
cochlea (`data=fsdd_spikes`: 2,700 recordings to train on, 300 to test on, {SPOKEN_STEPS} steps of
20 ms), two layers of 128 neurons (`model=spiking_delays`) trained for {settings["spoken_epochs"]}
epochs. Every synapse has a delay of 0 to {MAX_DELAY} steps that is learnt, or drawn at random and
kept, or none has one. In the control the steps of every recording are in a random order of its own,
in training and test. The last column has the networks of each row on test recordings whose steps
are in random order.

| network | trained parameters | {heads} | mean | steps of the test shuffled |
|---|---|{"---|" * len(seeds)}---|---|
{table}

Test accuracy after some of the steps, by the mean of the outputs so far, mean of the seeds:

{_steps(runs, "spoken", list(ARMS)[:3], (3, 6, 9, 12, 15, 20, 25))}

## Digits before an event camera

`data=digits_dvs`, {DIGIT_STEPS} steps, a spiking ViT of one block, trained for
{settings["digits_epochs"]} epochs only. Most of what a digit is shows in where events are, less in
when: the steps of the test in random order cost {_cost(runs):.1f} points, and the network has most
of its accuracy long before the recording ends.

{_steps(runs, "digits", ["SpikingViT"], tuple(range(1, DIGIT_STEPS + 1)))}

The camera and the cochlea are simulated: accuracies are not those of N-MNIST and SHD. Computed on
{result["date"]} on {hardware["cpu"]}, torch {result["packages"]["torch"]}, by
`{result["command"]}`.
"""


def _cost(runs: list[dict]) -> float:
    mine = [run for run in runs if run["task"] == "digits"]
    return 100 * statistics.fmean(r["accuracy"] - r["shuffled_in_the_test"] for r in mine)


def _steps(runs: list[dict], task: str, arms: list[str], steps: tuple[int, ...]) -> str:
    lines = [f"| network | {' | '.join(f'step {step}' for step in steps)} |"]
    lines.append("|---|" + "---|" * len(steps))
    for arm in arms:
        mine = [run["by_step"] for run in runs if run["task"] == task and run["arm"] == arm]
        means = [statistics.fmean(run[step - 1] for run in mine) for step in steps]
        lines.append(f"| {arm} | {' | '.join(f'{mean:.1%}' for mean in means)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder with FSDD as parquet")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--spoken-epochs", type=int, default=10)
    parser.add_argument("--digits-epochs", type=int, default=10)
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--output", type=Path, default=TABLE)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    described = machine.describe()
    given = {"data", "seeds", "output"}
    result = {
        "command": " ".join(["python scripts/bench/events.py", *sys.argv[1:]]),
        **described,
        "settings": {k: v for k, v in vars(arguments).items() if k not in given},
        "runs": compare(arguments),
    }
    result["command"] = result["command"].replace(arguments.data, "DATA")
    arguments.output.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    arguments.output.with_suffix(".md").write_text(page(result))


if __name__ == "__main__":
    main()
