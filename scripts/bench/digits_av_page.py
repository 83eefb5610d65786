"""The page and the plots of `digits_av.py`, from its JSON."""

from __future__ import annotations

import math
import statistics
import textwrap
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.digits_av_cells import (
    ATTENTION,
    FUSIONS,
    MODALITIES,
    PREDICTIONS,
    RECIPE,
    SWEEPS,
    Cell,
    by_fusion,
    cells,
    fused,
    of,
)
from spikeformer import figure_style as style
from spikeformer.reporting.svg import save_themed

LOOKS = {
    "both": (style.BLUE, "o-"),
    "vision_alone": (style.ORANGE, "s--"),
    "vision_only": (style.ORANGE, "x:"),
    "audio_alone": (style.MUTED, "^--"),
    "audio_only": (style.MUTED, "+:"),
}


def write(result: dict, stored: Path) -> None:
    """Write `<stored>.md`, `<stored>.svg` and `<stored>-attention.svg`."""
    for figure, path in (
        (accuracies(by_fusion(result["runs"], RECIPE)), stored.with_suffix(".svg")),
        (attention(result["runs"]), stored.with_name(f"{stored.name}-attention.svg")),
    ):
        save_themed(figure, path)
    stored.with_suffix(".md").write_text(page(result))


def accuracies(runs: list[dict]) -> Figure:
    """Draw the accuracy over the noise, a panel for each sweep."""
    figure = style.new_figure(10.0, 3.4)
    panels = figure.subplots(1, len(SWEEPS), sharey=True)
    for axes, (sweep, text) in zip(panels, SWEEPS.items(), strict=True):
        columns = cells(runs, sweep)
        for prediction, (colour, look) in LOOKS.items():
            found = [
                cell.accuracies[prediction] for cell in columns if prediction in cell.accuracies
            ]
            lines(axes, found, PREDICTIONS[prediction][0], colour, look)
        finish(axes, columns, text)
    style.percent_ticks(panels[0].yaxis)
    legend(figure, panels[0])
    return figure


def attention(runs: list[dict]) -> Figure:
    """Draw how much each modality counts over the noise in one, a row for each fusion."""
    shown = [fusion for fusion in ATTENTION if fused(by_fusion(runs, fusion))]
    figure = style.new_figure(7.0, 2.5 * len(shown) + 0.4)
    panels = figure.subplots(len(shown), 2, sharey="row", squeeze=False)
    for row, fusion in zip(panels, shown, strict=True):
        for axes, sweep in zip(row, MODALITIES, strict=True):
            columns = cells(by_fusion(runs, fusion), sweep)
            for modality, text in MODALITIES.items():
                found = [cell.attention[modality] for cell in columns]
                lines(axes, found, text, *LOOKS[f"{modality}_alone"])
            finish(axes, columns, SWEEPS[sweep])
        style.percent_ticks(row[0].yaxis)
        row[0].set_ylim(bottom=0)
        row[0].set_ylabel(ATTENTION[fusion], fontsize=style.SMALL, color=style.MUTED)
    legend(figure, panels[0][0])
    return figure


def lines(axes: Axes, found: list[list[float]], label: str, colour: str, look: str) -> None:
    """Draw the mean over the seeds, and a band from the lowest to the highest of them."""
    if not found:
        return
    places = range(len(found))
    means = [statistics.fmean(values) for values in found]
    axes.plot(places, means, look, color=colour, label=label, ms=4, lw=1.4)
    lowest, highest = [min(values) for values in found], [max(values) for values in found]
    axes.fill_between(places, lowest, highest, color=colour, alpha=0.12, lw=0)


def finish(axes: Axes, columns: list[Cell], text: str) -> None:
    """Write title and ticks."""
    style.tidy(axes)
    style.title(axes, text)
    labels = [cell.name.replace(", ", "\n") for cell in columns]
    axes.set_xticks(range(len(labels)), labels, fontsize=7.5)


def legend(figure: Figure, axes: Axes) -> None:
    """Explain the lines below all panels."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=len(labels),
        frameon=False,
        fontsize=style.SMALL,
        labelcolor=style.MUTED,
    )


def table(runs: list[dict], sweep: str) -> str:
    """Return the accuracies of a sweep as rows."""
    rows = []
    for cell in cells(runs, sweep):
        found = [spread(cell.accuracies[key]) for key in PREDICTIONS if key in cell.accuracies]
        weights = [f"{statistics.fmean(cell.attention[modality]):.0%}" for modality in MODALITIES]
        rows.append(f"| {cell.name} | {' | '.join([*found, points(cell.gain), *weights])} |")
    return "\n".join(rows)


def spread(values: list[float]) -> str:
    """Return mean and standard deviation in percent."""
    text = f"{100 * statistics.fmean(values):.1f}"
    return f"{text} ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else text


def points(difference: float) -> str:
    """Return a difference of shares in points, with its sign."""
    return f"{100 * difference:+.1f}"


def head(runs: list[dict], noise: str) -> str:
    """Return the head of a table whose first column is the noise."""
    predictions = [
        text for text, modalities, _ in PREDICTIONS.values() if of(runs, "recordings", modalities)
    ]
    titles = [noise, *predictions, "gain", "weight, image", "weight, sound"]
    return f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}"


def summary(runs: list[dict]) -> str:
    """Say where both modalities are better than the better one, and where they are not."""
    everything = [(sweep, cell) for sweep in SWEEPS for cell in cells(runs, sweep)]
    # The sample without noise is in two sweeps.
    noisy = [(s, c) for s, c in everything if c.name not in ("0", "clean")]
    better = [c for _, c in noisy if c.gain > 0]
    lost = [(s, c) for s, c in noisy if c.gain <= 0]
    both = [c for s, c in noisy if s == "both"]
    won_both = sum(c.gain > 0 for c in both)
    text = (
        f"Both modalities are better than the better one in {len(better)} of {len(noisy)} cells "
        f"with noise, and in {won_both} of {len(both)} where both are noisy; better than the same "
        f"network with the better modality alone in {sum(c.own_gain > 0 for _, c in noisy)}. "
    )
    if lost:
        where = "; ".join(
            f"{SWEEPS[s]} {c.name}: {points(c.gain)} points against the {PREDICTIONS[c.best[0]][0]}"
            for s, c in lost
        )
        text += f"They are not at: {where}. "
    return text


def fusions(runs: list[dict]) -> str:
    """Return a row for each fusion: means over its cells, over the seeds."""
    rows = []
    for fusion, title in FUSIONS.items():
        known = by_fusion(runs, fusion)
        if not fused(known):
            continue
        swept = {sweep: cells(known, sweep) for sweep in SWEEPS}
        clean = swept["vision"][0]
        values = [
            clean.accuracies["both"],
            *(
                [statistics.fmean(each) for each in zip(*noisy, strict=True)]
                for noisy in (
                    [c.accuracies["both"] for c in found if c.name not in ("0", "clean")]
                    for found in swept.values()
                )
            ),
            *(clean.accuracies[f"{modality}_alone"] for modality in MODALITIES),
        ]
        count = f"{fused(known)[0]['num_parameters']:,}"
        rows.append(f"| {title} | {count} | {' | '.join(map(spread, values))} |")
    return "\n".join(rows)


def error_of(accuracy: float, samples: int) -> str:
    """Return the standard error of an accuracy that was measured on so many samples, in points."""
    return f"{100 * math.sqrt(accuracy * (1 - accuracy) / samples):.1f}"


def seeds(runs: list[dict]) -> str:
    """Return one row for each run, without noise."""
    rows = []
    for run in runs:
        clean = run["results"][0]
        keys = ("accuracy", "vision_alone", "audio_alone")
        shown = [f"{clean[key]:.2%}" if key in clean else "" for key in keys]
        if len(run["modalities"]) == 1:
            shown[keys.index(f"{run['modalities'][0]}_alone")], shown[0] = shown[0], ""
        heard = ", ".join(run["test_speakers"] or ["all"])
        trained = " and ".join(MODALITIES[m] for m in run["modalities"])
        rows.append(
            f"| {heard} | {trained} | {run['seed']} | {' | '.join(shown)} "
            f"| {run['training_seconds']:.0f} s |"
        )
    return "\n".join(rows)


def speakers(first: dict, held_out: list[dict]) -> str:
    """Say who is heard in the test, and how well those are understood who never were before."""
    text = (
        f"Where all are tested, each of the six is heard in training and test ({first['samples']} "
        "test recordings)."
    )
    if held_out:
        both, sound = (
            spread([run["results"][0][key] for run in held_out])
            for key in ("accuracy", "audio_alone")
        )
        text += (
            " Where one is named, the network has never heard that speaker in training "
            f"({held_out[0]['samples']} test recordings): {both} % with both modalities and "
            f"{sound} % by sound alone, mean ± standard deviation over the speakers."
        )
    return text


def paragraph(text: str) -> str:
    """Return a text with lines of at most 100 characters."""
    return textwrap.fill(" ".join(text.split()), 100, break_on_hyphens=False)


def page(result: dict) -> str:
    """Return the page of the documentation."""
    runs, machine, recipe = result["runs"], result["machine"], result["recipe"]
    heard, held_out = by_fusion(runs, RECIPE), of(runs, "speakers")
    first, count = fused(heard)[0], len(fused(heard))
    device = machine["gpu"] or f"{machine['cpu']}, {machine['cores']} thread"
    device += "s" * (machine["cores"] > 1 and not machine["gpu"])
    about = f"""`python train.py experiment=digits_av`: spoken digits of the Free Spoken Digit
        Dataset, each paired with a handwritten digit of scikit-learn of the same class.
        {first["num_parameters"]:,} parameters, T = 4, {first["epochs"]} epochs. Each modality has a
        branch of its own, and their predictions are averaged by confidence (late fusion,
        temperature {recipe["temperature"]:g}); each also has a loss of its own while training
        (`callbacks=[default,unimodal_loss]`). {recipe["noisy_share"]:.0%} of the training
        images and, drawn apart, of the sounds get noise: up to a standard deviation of
        {recipe["max_image_noise"]:g}, and down to {recipe["min_snr_db"]:g} dB. No recording and no
        image is in both training and test; temperature and weight of the
        single predictions were chosen on validation samples."""
    over = "one seed" if count == 1 else f"mean ± standard deviation over {count} seeds"
    noise = f"""Every speaker in training and test; percent, {over}. Image noise is Gaussian with
        the given standard deviation (pixels are in [0, 1]); noise in the sound is white, at the
        given signal-to-noise ratio. "Gain" is by how many points both modalities are better than
        the best prediction from one modality, whichever network gave it. The last columns are the
        mean weights of the two predictions."""
    found = f"""{summary(heard)} A test of {first["samples"]} recordings has a standard error of
        {error_of(0.95, first["samples"])} points at 95 % and of {error_of(0.7, first["samples"])}
        at 70 %, whatever the seed: smaller gains and losses may be chance."""
    other = """The same encoders, recipe and seeds. What joins tokens instead of predictions learns
        to do without a modality by modality dropout (40 %). Columns with noise are means over the
        cells above; the last two are the network's accuracies with one modality, without noise. The
        figure shows what
        counts as noise grows: by the weights of late fusion, and by the share of gates that
        cross-modal attention opens for the tokens of a modality."""
    source = f"""Measured on {result["date"]} on {device}, torch {result["packages"]["torch"]}, by
        `{result["command"]}`; the numbers are in [digits_av.json](digits_av.json).
        {result.get("remark", "")}"""
    return f"""# Audio-visual digits

{paragraph(about)}

"Alone" is the network of both modalities with the other one left out; an "-only network" was
trained with one modality, under the same noise and for as many epochs.

## Without noise

| test speakers | trained with | seed | both modalities | image alone | sound alone | training |
|---|---|---|---|---|---|---|
{seeds([*heard, *held_out])}

{paragraph(speakers(first, held_out))}

## With noise

{paragraph(noise)}

{paragraph(found)}

![Accuracy with both modalities and with each alone, as noise grows](digits_av.svg)

{head(heard, "image noise")}
{table(heard, "vision")}

{head(heard, "sound's SNR")}
{table(heard, "audio")}

{head(heard, "image noise, sound's SNR")}
{table(heard, "both")}

## Ways to meet

{paragraph(other)}

| fusion | parameters | clean | noisy image | noisy sound | both noisy | image alone | sound alone |
|---|---|---|---|---|---|---|---|
{fusions(runs)}

![Attention over modalities: how much each modality counts as noise grows](digits_av-attention.svg)

{paragraph(source)}
"""
