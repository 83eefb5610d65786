"""The page and the plots of `digits_av.py`, from its JSON."""

from __future__ import annotations

import statistics
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
mpl.rcParams["svg.hashsalt"] = "spikeformer"  # the same numbers give the same file
mpl.rcParams["svg.fonttype"] = "none"

from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from spikeformer import figure_style as style  # noqa: E402

SWEEPS = {
    "vision": "noise in the image",
    "audio": "noise in the sound",
    "both": "noise in both",
}
LOOKS = {
    "accuracy": ("both senses", style.BLUE, "o-"),
    "vision_alone": ("image alone", style.ORANGE, "s--"),
    "audio_alone": ("sound alone", style.MUTED, "^:"),
}


def write(result: dict, stored: Path) -> None:
    """Write `<stored>.md`, `<stored>.svg` and `<stored>-gates.svg`."""
    runs = result["runs"]
    fused = [run for run in of(runs, "recordings") if len(run["modalities"]) > 1]
    for figure, path in (
        (accuracies(fused), stored.with_suffix(".svg")),
        (gates(fused), stored.with_name(f"{stored.name}-gates.svg")),
    ):
        figure.savefig(path, metadata={"Date": None})
        path.write_text("".join(f"{line.rstrip()}\n" for line in path.read_text().splitlines()))
    stored.with_suffix(".md").write_text(page(result))


def of(runs: list[dict], split: str) -> list[dict]:
    """Return the runs of a split."""
    return [run for run in runs if run["split"] == split]


def conditions(runs: list[dict], sweep: str) -> list[tuple[str, list[dict]]]:
    """Return the conditions of a sweep in words, each with the result of every run."""
    columns = zip(
        *([r for r in run["results"] if r["sweep"] == sweep] for run in runs), strict=True
    )
    return [(words(column[0]), list(column)) for column in columns]


def words(condition: dict) -> str:
    """Name a condition: what the swept senses get."""
    sound = "clean" if condition["snr_db"] is None else f"{condition['snr_db']:g} dB"
    image = f"{condition['image_noise']:g}"
    return {"vision": image, "audio": sound, "both": f"{image}, {sound}"}[condition["sweep"]]


def mean(results: list[dict], key: str) -> float:
    return statistics.fmean(r[key] for r in results)


def accuracies(runs: list[dict]) -> Figure:
    """Draw the accuracy over the noise, a panel for each sweep."""
    figure = style.new_figure(9.0, 2.9)
    panels = figure.subplots(1, len(SWEEPS), sharey=True)
    for axes, (sweep, text) in zip(panels, SWEEPS.items(), strict=True):
        columns = conditions(runs, sweep)
        for key, (label, colour, look) in LOOKS.items():
            values = [mean(results, key) for _, results in columns]
            axes.plot(range(len(values)), values, look, color=colour, label=label, ms=4)
        finish(axes, columns, text)
    style.percent_ticks(panels[0].yaxis)
    panels[0].legend(frameon=False, fontsize=style.SMALL, labelcolor=style.MUTED)
    return figure


def gates(runs: list[dict]) -> Figure:
    """Draw the share of open gates of each sense over the noise in one."""
    figure = style.new_figure(7.0, 2.7)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, sweep in zip(panels, ("vision", "audio"), strict=True):
        columns = conditions(runs, sweep)
        for name in ("vision", "audio"):
            label, colour, look = LOOKS[f"{name}_alone"]
            values = [mean([r["open_gates"] for r in results], name) for _, results in columns]
            text = label.removesuffix(" alone")
            axes.plot(range(len(values)), values, look, color=colour, label=text, ms=4)
        finish(axes, columns, SWEEPS[sweep])
    style.percent_ticks(panels[0].yaxis)
    panels[0].set_ylabel("open gates", fontsize=style.SMALL, color=style.MUTED)
    panels[0].legend(frameon=False, fontsize=style.SMALL, labelcolor=style.MUTED)
    return figure


def finish(axes: Axes, columns: list[tuple[str, list[dict]]], text: str) -> None:
    """Write title and ticks."""
    style.tidy(axes)
    style.title(axes, text)
    labels = [name.replace(", ", "\n") for name, _ in columns]
    axes.set_xticks(range(len(labels)), labels, fontsize=7.5)


def table(runs: list[dict], sweep: str) -> str:
    """Return the mean accuracies of a sweep as rows."""
    rows = []
    for name, results in conditions(runs, sweep):
        cells = [f"{mean(results, key):.1%}" for key in LOOKS]
        opened = [f"{mean([r['open_gates'] for r in results], k):.1%}" for k in ("vision", "audio")]
        rows.append(f"| {name} | {' | '.join([*cells, *opened])} |")
    return "\n".join(rows)


HEAD = """| both senses | image alone | sound alone | open gates, image | open gates, sound |
|---|---|---|---|---|---|"""


def seeds(runs: list[dict]) -> str:
    """Return one row for each run, without noise."""
    rows = []
    for run in runs:
        clean = run["results"][0]
        cells = [f"{clean[key]:.2%}" if key in clean else "" for key in LOOKS]
        if len(run["modalities"]) == 1:
            cells[list(LOOKS).index(f"{run['modalities'][0]}_alone")] = cells[0]
            cells[0] = ""
        heard = ", ".join(run["test_speakers"] or ["all"])
        trained = " and ".join({"vision": "image", "audio": "sound"}[m] for m in run["modalities"])
        rows.append(
            f"| {heard} | {trained} | {run['seed']} | {' | '.join(cells)} "
            f"| {run['training_seconds']:.0f} s |"
        )
    return "\n".join(rows)


def speakers(first: dict, held_out: list[dict]) -> str:
    """Say who is heard in the test."""
    text = (
        f"Where all are tested, each of the six is heard in training and test ({first['samples']}"
    )
    text += " test recordings)."
    if held_out:
        text += (
            " Where one is named, the network has never heard that speaker in training "
            f"({held_out[0]['samples']} test recordings)."
        )
    return text


def page(result: dict) -> str:
    """Return the page of the documentation."""
    runs, machine = result["runs"], result["machine"]
    fused = [run for run in of(runs, "recordings") if len(run["modalities"]) > 1]
    first, held_out = fused[0], of(runs, "speakers")
    device = machine["gpu"] or f"{machine['cpu']}, {machine['cores']} threads"
    return f"""# Audio-visual digits

`python train.py experiment=digits_av`: spoken digits of the Free Spoken Digit Dataset, each paired
with a handwritten digit of scikit-learn of the same class. {first["num_parameters"]:,} parameters,
T = 4, cross-modal attention, {first["epochs"]} epochs; while training, half of the images and half
of the sounds get noise, and each sense is left out with a probability of a fifth. No recording and
no image is in both training and test.

"Alone" means that the other sense is missing: for a network trained with both it is left out at the
test, one trained with one sense knows no other.

## Without noise

| test speakers | trained with | seed | both senses | image alone | sound alone | training |
|---|---|---|---|---|---|---|
{seeds(runs)}

{speakers(first, held_out)}

## With noise

The networks trained with both senses, every speaker in training and test, mean over
{len(fused)} seeds. Image noise is Gaussian with the given standard deviation (pixels are in
[0, 1]); noise in the sound is white, at the given signal-to-noise ratio. The right columns are the
share of gates that cross-modal attention opens for the tokens of a sense.

![Accuracy with both senses and with each alone, as noise grows](digits_av.svg)

![Share of open gates of each sense, as noise grows](digits_av-gates.svg)

| image noise {HEAD}
{table(fused, "vision")}

| sound's SNR {HEAD}
{table(fused, "audio")}

| image noise, sound's SNR {HEAD}
{table(fused, "both")}

Measured on {result["date"]} on {device}, torch {result["packages"]["torch"]}, by
`{result["command"]}`; the numbers are in [digits_av.json](digits_av.json). The machine was shared:
times are upper bounds.
"""
