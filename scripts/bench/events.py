"""Show that time matters in recordings of events; write docs/benchmarks/events.

python scripts/bench/events.py --data /data/fsdd --seeds 0 1 2

SpikingJelly's networks have as many trained parameters as ours, see the same batches, and are
trained for as many epochs as fit into the time that ours took; `make bench-baselines` installs it.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import statistics
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import lightning as L
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import machine
from bench.hybrid import train
from bench.training.baseline import Remote, session
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
from spikeformer.training import cosine_with_warmup
from spikeformer.training.callbacks import EpochSeed
from spikeformer.training.history import HistoryRecorder

TABLE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "events"
NEURON = partial(LifNeuron, reset="zero", tau_mem=5.0, surrogate_type="sigmoid")
SPOKEN_STEPS, DIGIT_STEPS, MAX_DELAY = 25, 8, 8
DECAY = {"tau": 1 / (1 - math.exp(-1 / 5.0)), "dropout": 0.2}
"""SpikingJelly's neurons decay as ours of tau_mem=5 do."""
ARMS = {
    "learnt delays": (MAX_DELAY, True, False),
    "fixed random delays": (MAX_DELAY, False, False),
    "no delays": (0, False, False),
    "learnt delays, steps shuffled": (MAX_DELAY, True, True),
    "no delays, steps shuffled": (0, False, True),
}
"""Largest delay, whether it is learnt, and whether each recording's steps are in random order."""
LINE = {"channels": 64, "num_classes": 10, **DECAY}
SPIKFORMER = {"num_classes": 10, "in_channels": 2, "image_size": [16, 16], "timesteps": DIGIT_STEPS}
BASELINES = {
    "SpikingJelly, LIF": ("spoken", {"line": {**LINE, "width": 190, "recurrent": False}}),
    "SpikingJelly, recurrent LIF": ("spoken", {"line": {**LINE, "width": 93, "recurrent": True}}),
    "SpikingJelly, Spikformer": (
        "digits",
        {**SPIKFORMER, "width": 42, "heads": 2, "depth": 1, "patch": 4},
    ),
}
"""The task, and what SpikingJelly's process builds."""
OURS = {"spoken": "learnt delays", "digits": "SpikingViT"}
"""The network whose size and time the baselines of a task have."""


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
def by_step(outputs_of: Callable[[Tensor], Tensor], data: SpikingDataModule) -> list[float]:
    """Return the accuracy of the mean output after each step, on the test recordings."""
    right: list[Tensor] = []
    for events, labels in data.test_dataloader():
        outputs = outputs_of(events).cumsum(dim=1)
        right.append(outputs.argmax(dim=-1) == labels[:, None])
    return torch.cat(right).float().mean(dim=0).tolist()


def baseline(
    network: dict, data: SpikingDataModule, seed: int, seconds: float, lr: float
) -> dict[str, object]:
    """Train SpikingJelly's network for so long, and return what it reached."""
    with session() as call:

        def fit(epochs: int) -> tuple[int, list[float]]:
            L.seed_everything(seed, verbose=False)
            parameters = call("prepare", {
                "threads": torch.get_num_threads(),
                "seed": seed,
                "network": network,
                "weight_decay": 0.01,  # of torch's AdamW, which trains ours
                "label_smoothing": 0.0,
                "gradient_clip_val": 1.0,
            })  # fmt: skip
            recorder = HistoryRecorder()
            trainer = L.Trainer(
                max_epochs=epochs,
                accelerator="cpu",
                devices=1,
                callbacks=[EpochSeed(seed), recorder],
                logger=False,
                enable_checkpointing=False,
                enable_model_summary=False,
                enable_progress_bar=False,
            )
            trainer.fit(Remote(call, lr, cosine_with_warmup), data)
            return parameters, [epoch["seconds"] for epoch in recorder.history]

        def outputs(events: Tensor) -> Tensor:
            return torch.from_numpy(call("outputs", {"images": events.numpy()}))

        _, trial = fit(2)  # the first is slow
        parameters, times = fit(max(1, round(seconds / trial[-1])))
        steps = by_step(outputs, data)
        return {
            "parameters": parameters,
            "epochs": len(times),
            "seconds": sum(times),
            "accuracy": steps[-1],
            "by_step": steps,
            "shuffled_in_the_test": by_step(outputs, shuffled(data, seed))[-1],
        }


def compare(arguments: argparse.Namespace) -> list[dict[str, object]]:
    """Train every arm with every seed, in turn."""
    options = {"timesteps": SPOKEN_STEPS, "val_fraction": 0, "max_shift": 2, "num_classes": 10}
    spoken = SpokenSpikesDataModule(path=arguments.data, **options)
    digits = DigitsDvsDataModule(
        timesteps=DIGIT_STEPS, image_size=(16, 16), val_fraction=0, max_shift=1
    )
    for data in (spoken, digits):
        data.setup()
    tasks = {
        "spoken": (spoken, arguments.spoken_epochs),
        "digits": (digits, arguments.digits_epochs),
    }
    runs: list[dict[str, object]] = []

    def note(task: str, arm: str, seed: int, **found: object) -> None:
        runs.append({"task": task, "arm": arm, "seed": seed, **found})
        print({k: v for k, v in runs[-1].items() if k != "by_step"}, flush=True)

    def ours(
        task: str, arm: str, seed: int, build: Callable[[], nn.Module], *, mixed: bool
    ) -> None:
        data, epochs = tasks[task]
        L.seed_everything(seed, verbose=False)
        data, net = shuffled(data, seed) if mixed else data, build()
        reached = train(net, data, seed, epochs, arguments.lr)
        net.eval()
        note(
            task,
            arm,
            seed,
            parameters=sum(p.numel() for p in net.parameters() if p.requires_grad),
            epochs=epochs,
            by_step=by_step(net, data),
            shuffled_in_the_test=by_step(net, shuffled(data, seed))[-1],
            **reached,
        )

    for seed in arguments.seeds:
        spoken.seed = digits.seed = seed
        for arm, (max_delay, learnt, mixed) in ARMS.items():
            ours("spoken", arm, seed, partial(spoken_network, max_delay, learnt), mixed=mixed)
        ours("digits", OURS["digits"], seed, digits_network, mixed=False)
        for arm, (task, network) in BASELINES.items():
            time = next(
                run["seconds"] for run in runs if (run["arm"], run["seed"]) == (OURS[task], seed)
            )
            note(task, arm, seed, **baseline(network, tasks[task][0], seed, time, arguments.lr))
    return runs


def page(result: dict) -> str:
    """Return the comparison as a page of the documentation."""
    runs, settings = result["runs"], result["settings"]
    hardware = result["machine"]
    spoken = [*list(ARMS)[:3], *_baselines("spoken")]
    return f"""# Recordings of events

Does the order of the steps matter, and do delays help? Spoken digits as spikes of a simulated
cochlea (`data=fsdd_spikes`: 2,700 recordings to train on, 300 to test on, {SPOKEN_STEPS} steps of
20 ms), two layers of 128 neurons (`model=spiking_delays`) trained for {settings["spoken_epochs"]}
epochs. Every synapse has a delay of 0 to {MAX_DELAY} steps that is learnt, or drawn at random and
kept, or none has one. In the control the steps of every recording are in a random order of its own,
in training and test. The last column has the networks of each row on test recordings whose steps
are in random order.

[SpikingJelly](https://github.com/fangwei123456/spikingjelly) 2.0.0 has no delays that are learnt.
Its two networks have two layers of LIF neurons of the same decay, recurrent or not, with as many
trained parameters as the network with learnt delays. They see the same batches, and are trained for
as many epochs as fit into the time that it took.

{_table(runs, [*ARMS, *_baselines("spoken")])}

Test accuracy after some of the steps, by the mean of the outputs so far, mean of the seeds:

{_steps(runs, "spoken", spoken, (3, 6, 9, 12, 15, 20, 25))}

## Digits before an event camera

`data=digits_dvs`, {DIGIT_STEPS} steps, a spiking ViT of one block, trained for
{settings["digits_epochs"]} epochs, and SpikingJelly's Spikformer of one block and about as many
parameters, trained for the same time. Most of what a digit is shows in where events are, less in
when: the steps of the test in random order cost ours {_cost(runs):.1f} points.

{_table(runs, [OURS["digits"], *_baselines("digits")])}

{_steps(runs, "digits", [OURS["digits"], *_baselines("digits")], tuple(range(1, DIGIT_STEPS + 1)))}

The camera and the cochlea are simulated: accuracies are not those of N-MNIST and SHD. Times are
those of one thread. Computed on {result["date"]} on {hardware["cpu"]}, torch
{result["packages"]["torch"]}, by `{result["command"]}`.
"""


def _baselines(task: str) -> list[str]:
    return [arm for arm, (of, _) in BASELINES.items() if of == task]


def _table(runs: list[dict], arms: list[str]) -> str:
    """Return a row for each network, with its accuracy by seed."""
    seeds = sorted({run["seed"] for run in runs})
    heads = " | ".join(f"seed {seed}" for seed in seeds)
    columns = f"epochs | minutes | {heads} | mean | steps of the test shuffled"
    rows = [
        f"| network | trained parameters | {columns} |",
        f"|---|---|---|---|{'---|' * len(seeds)}---|---|",
    ]
    for arm in arms:
        mine = {run["seed"]: run for run in runs if run["arm"] == arm}

        def mean(key: str, found: Iterable[dict] = mine.values()) -> float:
            return statistics.fmean(run[key] for run in found)

        cells = " | ".join(f"{mine[seed]['accuracy']:.2%}" for seed in seeds)
        first = f"| {arm} | {mine[seeds[0]]['parameters']:,} | {mean('epochs'):.0f}"
        last = f"**{mean('accuracy'):.2%}** | {mean('shuffled_in_the_test'):.2%} |"
        rows.append(f"{first} | {mean('seconds') / 60:.1f} | {cells} | {last}")
    return "\n".join(rows)


def _cost(runs: list[dict]) -> float:
    mine = [run for run in runs if run["arm"] == OURS["digits"]]
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
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--spoken-epochs", type=int, default=10)
    parser.add_argument("--digits-epochs", type=int, default=24)
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
