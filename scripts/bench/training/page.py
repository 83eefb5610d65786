"""The page and the plot of `tables.py`, from its JSON."""

from __future__ import annotations

import statistics
from pathlib import Path

from matplotlib.figure import Figure

from spikeformer import figure_style as style
from spikeformer.reporting.svg import save_themed

TITLES = {"digits": "Digits", "cifar10": "CIFAR-10", "sst2": "SST-2", "fsdd": "Spoken digits"}
NAMES = {
    "SpikeFormer": "SpikeFormer",
    "ann": "ANN (ReLU, T = 1)",
    "ann-equal-epochs": "the same, for as many epochs as SpikeFormer",
    "Spikformer": "SpikingJelly's Spikformer",
}
LOOKS = {
    "SpikeFormer": ("SpikeFormer", style.BLUE),
    "ann": ("ANN", style.OTHER),
    "Spikformer": ("Spikformer", style.ORANGE),
}


def write(tables: dict[str, dict], stored: Path) -> None:
    """Write `<stored>.md` and `<stored>.svg`."""
    save_themed(accuracies(tables), stored.with_suffix(".svg"))
    stored.with_suffix(".md").write_text(page(tables))


def of(table: dict, network: str) -> list[dict]:
    """Return a network's runs, one for each seed."""
    return [run for run in table["runs"] if run["network"] == network]


def mean(runs: list[dict], key: str) -> float:
    return statistics.fmean(run[key] for run in runs)


def accuracies(tables: dict[str, dict]) -> Figure:
    """Draw the accuracy of each network, a panel for each table."""
    figure = style.new_figure(2.6 * len(tables) + 0.4, 2.6)
    for axes, (name, table) in zip(
        figure.subplots(1, len(tables), squeeze=False)[0], tables.items(), strict=True
    ):
        heights = {
            network: mean(runs, "accuracy") for network in LOOKS if (runs := of(table, network))
        }
        labels, colours = zip(*(LOOKS[network] for network in heights), strict=True)
        bars = axes.bar(labels, list(heights.values()), color=colours, width=0.7)
        axes.bar_label(bars, [f"{height:.1%}" for height in heights.values()], color=style.INK)
        low = min(0.95, *heights.values())
        axes.set_ylim(max(0.0, low - 2 * (1 - low)), 1.0)
        axes.set_title(TITLES[name], loc="left", fontsize=style.NORMAL, color=style.INK, pad=14)
        style.tidy(axes)
        style.percent_ticks(axes.yaxis)
        axes.tick_params("x", labelsize=8)
    return figure


def page(tables: dict[str, dict]) -> str:
    """Return the tables as a page of the documentation."""
    sections = "\n".join(section(name, table) for name, table in tables.items())
    return f"""# Accuracy in a given time

Three networks of about the same number of parameters, trained on the same CPU for the same time,
on the same batches in the same order:

- SpikeFormer: the recipe of the table, `python train.py experiment=...`. Where a number of epochs
  "with rates" is given, training is [hybrid](../how-to/hybrid.md): in the first of its epochs every
  neuron is replaced by its rate function, in the others it spikes. What is tested spikes.
- The ANN: the same recipe with `neuron=relu timesteps=1`, that is without spikes and
  without time, and so without two phases (`callbacks=[checkpoint]`). Where the recipe widens the
  initial weights of the readout (`task.head.gain`), which spikes gain by and ReLUs lose by, the
  ANN's are the usual ones.
- SpikingJelly's Spikformer, with binary neurons in 4 timesteps (CIFAR-10: 2), behind a process of
  its own: our trainer and data module send it each batch and the learning rate of the step. Loss,
  optimizer (AdamW), schedule and clipping are those of the recipe; its learning rate is the best of
  two or three in short runs, by the test itself.
  Its stem takes patches of 4x4 or 16x16 pixels: the first for the digits, of 8x8 pixels, the
  second for the larger images, where the first costs several times as much. For text, an embedding
  that fires stands for the stem; its blocks know no mask, so their batch norms see padding.

A short run of each network shows how many epochs fit the budget; a training that misses it by more
than 15 % all the same is repeated with as many epochs as its time allows. The learning rate falls
to zero at the end of the last one. Nothing is held out for validation, and the weights after the
last epoch are tested. "Training" is the time of all epochs, "CPU" what the whole process used of
the cores, with start-up and test.

![Accuracy of the three networks in each table](tables.svg)

{sections}
## On a GPU

`experiment=cifar10_small` and `experiment=cifar10_base` train CIFAR-10 for 300 epochs with bf16,
mixup, cutmix and a moving average of the weights. Not measured: no GPU was at hand.

The numbers are in [tables.json](tables.json). `--budget-minutes 30` gives each network half an
hour.
"""


def threads(number: int) -> str:
    return "one thread" if number == 1 else f"{number} threads"


def section(name: str, table: dict) -> str:
    """Return one table."""
    seeds = sorted({run["seed"] for run in table["runs"]})
    rows = []
    for network, title in NAMES.items():
        runs = of(table, network)
        if not runs:
            continue
        each = ", ".join(f"{run['accuracy']:.2%}" for run in runs)
        seconds, epochs = mean(runs, "seconds"), f"{mean(runs, 'epochs'):.0f}"
        if rates := mean(runs, "rate_epochs"):
            epochs += f" ({rates:.0f} with rates)"
        rows.append(
            f"| {title} | {runs[0]['num_parameters']:,} | **{mean(runs, 'accuracy'):.2%}**"
            f"{f' ({each})' if len(runs) > 1 else ''} | {epochs} | {seconds:.0f} s "
            f"| {mean(runs, 'cpu_seconds'):.0f} s "
            f"| {1000 * seconds / mean(runs, 'steps'):.0f} ms |"
        )
    machine, circumstances = table["machine"], table.get("remark")
    beside = f" ({circumstances})" if circumstances else ""
    remarks = f", the mean of {len(seeds)} seeds" if len(seeds) > 1 else ""
    return f"""## {TITLES[name]}

`python train.py {table["recipe"]}`; {table["budget_minutes"]:g} minutes for each network{remarks}.

| network | parameters | test accuracy | epochs | training | CPU | per batch |
|---|---|---|---|---|---|---|
{chr(10).join(rows)}

Measured on {table["date"]} on {machine["cpu"]}, {threads(table["threads"])}{beside},
torch {table["packages"]["torch"]}, by `{table["command"]}`.
"""
