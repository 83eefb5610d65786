"""Convert the models of pretrain.py and write docs/benchmarks/conversion.{json,md,svg}.

python scripts/bench/conversion/measure.py --vit outputs/vit --cifar10 /data/cifar10 \
    --bert outputs/bert --sst2 /data/sst2
python scripts/bench/conversion/measure.py --speed    # the times alone, in the figures kept
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path[:1] = [str(REPOSITORY / "scripts"), str(REPOSITORY)]

import torch  # noqa: E402
from transformers import ViTConfig, ViTModel  # noqa: E402

from bench.machine import describe  # noqa: E402
from spikeformer import figure_style  # noqa: E402
from spikeformer.conversion import (  # noqa: E402
    ConversionPipeline,
    PretrainedTransformer,
    SpikeformerConverter,
    evaluate_conversion,
)
from spikeformer.data import ImageDataModule, TextDataModule  # noqa: E402
from spikeformer.reporting.svg import save_themed  # noqa: E402

STORED = REPOSITORY / "docs" / "benchmarks" / "conversion"
TIMESTEPS = 8
CALIBRATION = 256

# Name, arguments of the converter, whether it is calibrated.
VARIANTS = (
    ("LIF, calibrated", {}, True),
    ("LIF, made-up inputs", {}, False),
    ("IF, calibrated", {"neuron_model": "IF"}, True),
    ("LIF, leak of 20 ms, calibrated", {"tau_mem": 20.0}, True),
    ("LIF, 4 levels, calibrated", {"levels": 4}, True),
    ("radix, LIF, calibrated", {"spike_encoding": "radix"}, True),
    ("binary, IF, T = 64, calibrated", {"spike_encoding": "binary", "neuron_model": "IF"}, True),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("vit", "cifar10", "bert", "sst2"):
        parser.add_argument(f"--{name}", help="folder")
    parser.add_argument("--speed", action="store_true", help="measure ViT-B/16's times alone")
    parser.add_argument("--samples", type=int, default=1000, help="test samples of each")
    parser.add_argument("--rounds", type=int, default=5, help="timings of ViT-B/16")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    if arguments.speed:
        result = json.loads(STORED.with_suffix(".json").read_text())
        result["speed"] = speed(arguments.rounds)
        _write(result)
        return
    images = ImageDataModule(
        path=arguments.cifar10, num_classes=10, val_fraction=0.0, limit_train=1000, batch_size=50
    )
    sentences = TextDataModule(
        path=arguments.sst2,
        num_classes=2,
        val_fraction=0.0,
        tokenizer=arguments.bert,
        batch_size=50,
    )
    result = {
        "command": "python scripts/bench/conversion/measure.py --vit FOLDER --cifar10 FOLDER "
        "--bert FOLDER --sst2 FOLDER",
        **describe(),
        "threads": torch.get_num_threads(),
        "models": {
            "ViT on CIFAR-10": compare(arguments.vit, images, arguments.samples),
            "BERT on SST-2": compare(arguments.bert, sentences, arguments.samples),
        },
        "speed": speed(arguments.rounds),
    }
    plot(result, STORED.with_suffix(".svg"))
    _write(result)


def _write(result: dict) -> None:
    STORED.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    STORED.with_suffix(".md").write_text(page(result))
    print(STORED.with_suffix(".md").read_text())


class Batches:
    """A loader whose inputs are the arguments of a pretrained model."""

    def __init__(self, loader, network) -> None:
        self.loader, self.network = loader, network

    def __iter__(self):
        for inputs, targets in self.loader:
            yield self.network.arguments(inputs), targets


def compare(folder: str, data, samples: int) -> dict:
    """Convert one model in every way, and compare each with the original."""
    network = PretrainedTransformer(folder)
    data.setup()
    train = Batches(data.train_dataloader(), network)
    test = Batches(data.test_dataloader(), network)
    rows = []
    for name, options, calibrated in VARIANTS:
        timesteps = 64 if options.get("spike_encoding") == "binary" else TIMESTEPS
        converter = SpikeformerConverter(timesteps, **options)
        if calibrated:
            pipeline = ConversionPipeline(train, converter=converter, progress=False)
            # Figures for all levels and timesteps, whatever the pipeline would choose.
            pipeline._choose = lambda *_: None
            snn = pipeline.convert(network.model, CALIBRATION, fine_tune_epochs=0)
        else:
            snn = converter.convert(network.model)
        evaluation = evaluate_conversion(snn, test, original=network.model, max_samples=samples)
        figures = evaluation.to_dict()
        figures.pop("rates")
        rows.append({"name": name, "coding": snn.coding.to_dict(), **figures})
        print(folder, name, evaluation.original_accuracy, evaluation.last, flush=True)
    return {"parameters": sum(p.numel() for p in network.model.parameters()), "rows": rows}


@torch.no_grad()
def speed(rounds: int) -> dict:
    """Time ViT-B/16 with random weights: original, spiking in float32 and in integers, by turns."""
    model = ViTModel(ViTConfig()).eval()
    images = torch.randn(1, 3, 224, 224)
    snn = SpikeformerConverter(TIMESTEPS).convert(model, {"pixel_values": images})
    seconds = {"original": [], "float32": [], "integers": []}
    hidden = {}
    for _ in range(rounds + 1):
        for name, times in seconds.items():
            snn.integers = name == "integers"
            network = model if name == "original" else snn
            start = time.process_time()
            hidden[name] = network(pixel_values=images).last_hidden_state
            times.append(time.process_time() - start)
    seconds = {name: times[1:] for name, times in seconds.items()}
    wanted = hidden.pop("original")
    return {
        **describe(),
        "model": "ViT-B/16, one image",
        "timesteps": TIMESTEPS,
        "threads": torch.get_num_threads(),
        "cpu_seconds": seconds,
        "ratios": {
            name: [a / b for a, b in zip(seconds[name], seconds["original"], strict=True)]
            for name in hidden
        },
        "errors": {name: float((x - wanted).norm() / wanted.norm()) for name, x in hidden.items()},
    }


def page(result: dict) -> str:
    """Return the tables as a page of the documentation."""
    machine, parts = result["machine"], []
    for name, model in result["models"].items():
        first = model["rows"][0]
        rows = "\n".join(map(_row, model["rows"]))
        parts.append(
            f"""## {name}

{model["parameters"]:,} parameters; accuracy of the original on the first {first["num_samples"]:,}
test samples: **{first["original_accuracy"]:.2%}**, modelled energy
{_energy(first["original_energy_uj"])} per sample.

| conversion | T | accuracy | same class | relative error | events per neuron | energy |
|---|---|---|---|---|---|---|
{rows}
"""
        )
    return f"""# Conversion

Two small models of `transformers`, trained by `scripts/bench/conversion/pretrain.py`, converted to
spikes and compared with themselves. Calibration takes {CALIBRATION} training samples and no labels;
no weights are trained. "Same class" is the share of samples for which the spiking network predicts
what the original predicts; the relative error is that of the logits.

![Relative error and share of the same class over timesteps](conversion.svg)

{chr(10).join(parts)}
## Speed

{_speed(result["speed"])}

## What these figures are

Accuracies, events and times are measured. Energies are estimates for digital logic in 45 nm that
reads and writes on-chip memory for every operation, with the bounds that
`spikeformer.profiling` gives; LayerNorm, softmax and GELU, which stay in floating point and run at
every timestep, are in neither. A spike of one of eight sizes is a multiplication, and at T = 8 a
neuron fires in half to two thirds of the timesteps: **on such logic the spiking network costs more
than the original**, not less. What it offers is a network whose messages are graded events, for
hardware that is built for them.

Measured on {result["date"]} on {machine["cpu"]}, {result["threads"]} threads, torch
{result["packages"]["torch"]}, transformers {_version("transformers")}, by
`{result["command"]}`; the numbers are in [conversion.json](conversion.json).

[Beside SpikingJelly](conversion-baseline.md) are both libraries on the same small models.
"""


def _speed(speed: dict) -> str:
    """Say how long the spiking network takes, and what bounds it."""
    steps, rows = speed["timesteps"], []
    for name, ratios in speed["ratios"].items():
        median, low, high = statistics.median(ratios), min(ratios), max(ratios)
        rows.append(
            f"| {name} | **{median:.1f}x** ({low:.1f}x to {high:.1f}x) "
            f"| {speed['errors'][name]:.4f} |"
        )
    return f"""{speed["model"]}, T = {steps}, random weights, processor time by turns in one process
(median and range of {len(speed["cpu_seconds"]["original"])} turns, {speed["threads"]} thread,
{speed["date"]}):

| products | time of the original | relative error of the hidden states |
|---|---|---|
{chr(10).join(rows)}

In float32 {steps}x is the floor: a neuron at timestep t needs what all layers before it make of the
events up to t, so that every product is computed {steps} times, whatever is added up. A CPU that
multiplies bytes (VNNI) does less: an event is a whole multiple of the smallest one and fits into a
byte, a weight into three. Three products of bytes stand for one of float32 at the first timestep,
and two at each later one, whose events are small: {3 + 2 * (steps - 1)} products of bytes in place
of {steps} of float32, and two more in rows in which an event is of the largest size. Neurons,
attention's products of rates, LayerNorm, softmax and GELU, {steps} times each, are the rest. What
is left out is 2^-16 of the largest weight times later events. `integers=False` on the converted
network keeps to float32, as does what is verified against chips.
"""


def _row(row: dict) -> str:
    last = row["steps"][-1]
    return (
        f"| {row['name']} | {last['timesteps']} | {last['accuracy']:.2%} | {last['agreement']:.2%} "
        f"| {last['error']:.4f} | {last['events_per_neuron']:.2f} | {_energy(last['energy_uj'])} |"
    )


def _energy(bounds) -> str:
    low, value, high = bounds
    return f"{value:,.0f} µJ ({low:,.0f} to {high:,.0f})"


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def plot(result: dict, path: Path) -> None:
    """Draw relative error and agreement over the timesteps, one column per model."""
    figure = figure_style.new_figure(9.0, 5.5)
    axes = figure.subplots(2, 2, sharex=True)
    for column, (name, model) in zip(axes.T, result["models"].items(), strict=True):
        for row in model["rows"]:
            if len(row["steps"]) != TIMESTEPS:
                continue
            steps = [step["timesteps"] for step in row["steps"]]
            for panel, key in zip(column, ("error", "agreement"), strict=True):
                values = [step[key] for step in row["steps"]]
                panel.plot(steps, values, marker="o", markersize=3, label=row["name"])
        column[0].set(yscale="log")
        figure_style.title(column[0], name)
        figure_style.ylabel(column[0], "relative error of the logits")
        figure_style.xlabel(column[1], "timesteps")
        figure_style.ylabel(column[1], "share of the same class")
        column[1].axhline(0.99, color=figure_style.OTHER, linewidth=1, linestyle=":")
    for panel in axes.flat:
        figure_style.tidy(panel)
    axes[0, 0].legend(fontsize=7, frameon=False, labelcolor=figure_style.MUTED)
    save_themed(figure, path)


if __name__ == "__main__":
    main()
