"""The model card of a run's network, written from the run's own records."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from spikeformer.data import Preparation
from spikeformer.i18n import use_locale
from spikeformer.models.hub import card_header, usage
from spikeformer.profiling import energy_text
from spikeformer.runs.results.test import wilson_interval

if TYPE_CHECKING:
    from spikeformer.runs.loading import LoadedRun

_OF_A_RUN = ("hydra.", "paths.", "logger")
"""Beginnings of overrides that say where a run lies, and nothing of its network."""


def model_card(run: LoadedRun, name: str = "FOLDER_OR_NAME") -> str:
    """Return the card of a run's network as Markdown: data, figures, and how to make it again.

    Every number is one that the run wrote down. What it did not measure is said to be missing.

    Args:
        run: The run.
        name: What `from_pretrained` finds the network by.
    """
    kind = type(run.network).__name__
    parameters = sum(parameter.numel() for parameter in run.network.parameters())
    sections = [
        card_header(),
        f"# {run.results.name}\n",
        f"A `{kind}` of [SpikeFormer](https://github.com/spikeformer/spikeformer) with"
        f" {parameters:,} parameters and T = {run.config.timesteps} timesteps, made by a run of"
        f" {(run.results.created or 'an unknown day')[:10]}.\n",
        usage(kind, name),
        _section("Data", _data(run)),
        _section("Results", _results(run)),
        _section("Make it again", _reproduce(run)),
    ]
    return "\n".join(sections)


def _section(title: str, lines: Iterable[str]) -> str:
    return "\n".join([f"## {title}", "", *lines, ""])


def _data(run: LoadedRun) -> list[str]:
    data, found = run.config.data, run.results.data or Preparation()
    lines = [f"- Prepared by `{data._target_}`" + _in_words(data) + "."]
    if found.class_names:
        names = ", ".join(f"`{name}`" for name in found.class_names)
        lines.append(f"- Classes, in the order of the outputs: {names}.")
    if found.tokenizer or found.vocabulary:
        lines.append("- The tokenizer of the training belongs to the network's configuration.")
    if found.loudest_db is not None:
        lines.append(f"- A spectrogram's value of 1 is a loudness of {found.loudest_db:.2f} dB.")
    if data.get("val_fraction") == 0:
        lines.append("- Nothing was held out for validation: all training data were trained on.")
    elif data.get("val_fraction"):
        lines.append(f"- {data.val_fraction:.0%} of the training data were held out.")
    return lines


def _in_words(data: Mapping[str, Any]) -> str:
    keys = [key for key in ("source", "image_size", "seed", "split_seed") if key in data]
    return "".join(f", {key} `{data[key]}`" for key in keys)


def _results(run: LoadedRun) -> list[str]:
    return [*_test(run), *_energy(run)]


def _test(run: LoadedRun) -> list[str]:
    test = run.results.test
    if test is None:
        return ["- Not tested."]
    shown = {"accuracy", "firing_rate"}
    lines = [f"- {key}: {value:.4g}" for key, value in test.metrics.items() if key not in shown]
    matrix = test.confusion_matrix
    if matrix is not None and matrix.sum():
        right, total = int(matrix.trace()), int(matrix.sum())
        low, high = wilson_interval(right, total)
        lines.insert(
            0,
            f"- Test accuracy: **{right / total:.2%}**, {right} of {total} samples (95 % interval"
            f" {low:.2%} to {high:.2%}, by Wilson); one training with seed {run.config.seed}, the"
            f" weights after its last epoch{_rounding(run)}.",
        )
    elif "accuracy" in test.metrics:
        lines.insert(0, f"- Test accuracy: **{test.metrics['accuracy']:.2%}**")
    if "firing_rate" in test.metrics:
        rate = test.metrics["firing_rate"]
        lines.append(f"- Firing rate: {rate:.1%} of all neurons and timesteps.")
    return lines


def _rounding(run: LoadedRun) -> str:
    """Say in what numbers a network was tested, if not in those that it is loaded with."""
    precision = str(run.config.trainer.precision)
    half = precision.startswith(("16", "bf16"))
    return f", tested in the training's precision, {precision}" if half else ""


def _energy(run: LoadedRun) -> list[str]:
    if run.results.energy is None:
        return ["- Energy: not estimated."]
    metrics = run.results.energy.metrics
    low, high = metrics["energy_per_sample_low_uj"], metrics["energy_per_sample_high_uj"]
    with use_locale("en"):
        value, least, most = (energy_text(x) for x in (metrics["energy_per_sample_uj"], low, high))
    spread = f" ({least} to {most})" if low < high else ""
    return [f"- Energy of a sample: {value}{spread}, {metrics['kind']}; {metrics['source']}"]


def _reproduce(run: LoadedRun) -> list[str]:
    overrides, places = [], []
    for item in run.results.overrides:
        key, _, value = item.partition("=")
        if value.lstrip("'\"[").startswith(("/", "~", ".", "file:")) or key == "checkpoint":
            places.append(f"`{key.lstrip('+')}=...`")
        elif not item.startswith(_OF_A_RUN):
            overrides.append(item)
    environment = run.results.environment or {}
    packages = environment.get("packages", {})
    lines = ["```bash", shlex.join(["python", "train.py", *overrides]), "```", ""]
    if places:
        lines.append(f"with {', '.join(places)}, which lay on the machine of the training.")
    git = environment.get("git") or {}
    if git.get("commit"):
        changed = ", with changes that were not committed" if git.get("dirty") else ""
        lines.append(f"Commit `{git['commit'][:12]}`{changed}.")
    known = [f"{key} {packages[key]}" for key in ("spikeformer", "torch") if key in packages]
    return [*lines, f"Versions: {', '.join(known)}."] if known else lines
