"""One test sample on its way through the network."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeformer.i18n import format_number, t
from spikeformer.reporting import formats
from spikeformer.reporting.figures import (
    is_drawable,
    plot_attention,
    plot_input,
    plot_output,
    plot_raster,
)
from spikeformer.reporting.sections.section import Content, ReportFigure, register_section
from spikeformer.runs.results import RunResults, SampleResults

_MAX_TOKENS = 256
_MAX_ATTENTION = 12
# A page of a few hundred kilobytes, however long and deep the network is.
_MAX_LAYERS, _MAX_NEURONS, _MAX_CELLS = 64, 64, 100_000


@register_section("sample", title="One sample", order=30, source="results/sample.npz", stage="test")
def sample(results: RunResults) -> Content | None:
    """Show the input, the output over time and the spikes of every layer."""
    found = results.sample
    if found is None:
        return None
    names = results.test.class_names if results.test is not None else None
    inputs = _inputs(found)
    outputs = _outputs(found, names)
    spikes = {layer: train for layer, train in found.spikes.items() if train.size}
    spikes = dict(list(spikes.items())[:_MAX_LAYERS])
    timesteps = max((len(train) for train in spikes.values()), default=1)
    neurons = min(max(_MAX_CELLS // (timesteps * max(len(spikes), 1)), 8), _MAX_NEURONS)
    prefix = formats.common_prefix(list(spikes))
    rasters, layers = {}, []
    for index, (layer, train) in enumerate(spikes.items()):
        rate = formats.percent(float((train > 0).mean()))
        alt = t("reporting.raster_alt", neurons=train.shape[1], layer=layer, timesteps=len(train))
        figure = plot_raster({layer: train}, max_neurons=neurons, titles=False)
        rasters[f"raster-{index}"] = ReportFigure(figure, alt, save=False)
        layers.append(
            {"figure": f"raster-{index}", "name": layer.removeprefix(prefix), "rate": rate}
        )
    attention, gates = _attention(found, prefix)
    figures = {**inputs, **outputs, **attention, **rasters}
    if spikes:
        figures["raster"] = ReportFigure(
            plot_raster(spikes, max_neurons=neurons), t("reporting.raster"), inline=False
        )
    values = {
        "inputs": list(inputs),
        "caption": t("reporting.input_events" if _has_polarity(found) else "reporting.input"),
        "outputs": list(outputs),
        "tokens": _tokens(found),
        "attention": gates,
        "layers": layers,
        "prefix_note": formats.prefix_note(list(spikes)),
        "left_out": len(found.spikes) - len(spikes),
        "target": _name(found.target, names),
        "prediction": _name(found.prediction, names),
        "decided": decided_after(found.output) if _is_class(found) else None,
        "output_steps": 0 if found.output is None else len(found.output),
        "timesteps": timesteps,
        "correct": _same(found.target, found.prediction),
    }
    return Content(values, figures)


def decided_after(output: np.ndarray | None) -> int | None:
    """Return the timestep after which the mean output keeps its largest class to the end.

    Args:
        output: (timesteps, classes) of one sample.

    Returns:
        1 to timesteps; None without an output over several timesteps.

    Example:
        >>> decided_after(np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 1.0]]))
        2
    """
    if output is None or output.ndim != 2 or len(output) < 2 or not output.size:
        return None
    classes = output.cumsum(axis=0).argmax(axis=1)
    others = np.flatnonzero(classes != classes[-1])
    return int(others[-1]) + 2 if len(others) else 1


def _is_class(found: SampleResults) -> bool:
    """Tell whether the prediction is one class of several."""
    return found.prediction is not None and not found.prediction.ndim and found.output is not None


def _has_polarity(found: SampleResults) -> bool:
    """Tell whether the input is of events that are brighter or darker."""
    events = [x for x in found.inputs.values() if is_drawable(x) and x.ndim == 4]
    return any(x.shape[1] == 2 or (x.shape[1] == 1 and x.min() < 0) for x in events)


def _tokens(found: SampleResults) -> list[str]:
    """Tokens as text where the run saved it, else as ids; padding is left out."""
    rows = [array for array in found.inputs.values() if array.ndim == 1]
    textual = [array for array in rows if array.dtype.kind == "U"]
    ids = [array for array in rows if array.dtype.kind in "iu"]
    mask = found.inputs.get("mask")
    for array in textual + ids:
        if mask is not None and mask.shape == array.shape:
            array = array[mask.astype(bool)]
        return [str(token) for token in array[:_MAX_TOKENS]]
    return []


def _inputs(found: SampleResults) -> dict[str, ReportFigure]:
    figures = {}
    for name, array in found.inputs.items():
        if is_drawable(array) and not (array.ndim == 1 and array.dtype.kind in "iu"):
            shape = f" {t('reporting.by')} ".join(map(str, array.shape))
            key = "input" if name == "input" else f"input-{name}"
            alt = t("reporting.input_alt", name=name, shape=shape)
            figures[key] = ReportFigure(plot_input(array), alt)
    return figures


def _attention(
    found: SampleResults, prefix: str
) -> tuple[dict[str, ReportFigure], list[dict[str, str]]]:
    """Return a figure for each attention layer that tells tokens of the image apart."""
    images = [x for x in found.inputs.values() if x.ndim in (3, 4) and x.dtype.kind in "fiu"]
    if not images or not found.attention:
        return {}, []
    figures, shown = {}, []
    for index, (layer, share) in enumerate(list(found.attention.items())[:_MAX_ATTENTION]):
        mean = formats.percent(float(share.mean()))
        alt = t("reporting.attention_alt", layer=layer, rows=len(share), columns=share.shape[1])
        figures[f"attention-{index}"] = ReportFigure(plot_attention(images[0], share), alt)
        name = layer.removeprefix(prefix).removesuffix(".mechanism")
        shown.append({"figure": f"attention-{index}", "name": name, "rate": mean})
    return figures, shown


def _outputs(found: SampleResults, names: list[str] | None) -> dict[str, ReportFigure]:
    output = found.output
    if output is None or output.ndim != 2 or not output.size:
        return {}
    if names is not None and len(names) != output.shape[1]:
        names = None
    target = found.target
    is_class = target is not None and target.ndim == 0 and target.dtype.kind in "iu"
    index = int(target) if is_class and target is not None else None
    if index is not None and not 0 <= index < output.shape[1]:
        index = None
    # A real-valued target belongs to a regression or to several labels: no class wins.
    look: dict[str, Any] = {"target": index, "winner": target is None or target.dtype.kind != "f"}
    each = plot_output(output, names, **look)
    mean = plot_output(output, names, **look, running_mean=True)
    return {
        "output": ReportFigure(each, t("reporting.output_alt", timesteps=len(output))),
        "output_mean": ReportFigure(mean, t("reporting.output_mean_alt")),
    }


def _name(value: np.ndarray | None, names: list[str] | None) -> str | None:
    if value is None:
        return None
    if value.ndim == 0 and value.dtype.kind in "iu":
        index = int(value)
        return names[index] if names is not None and 0 <= index < len(names) else str(index)
    if value.ndim == 0:
        return format_number(float(value), ".4g") if value.dtype.kind == "f" else str(value)
    if value.ndim == 1 and names is not None and len(names) == len(value):
        return ", ".join(names[index] for index in np.flatnonzero(value > 0.5)) or t(
            "reporting.no_label"
        )
    if value.ndim == 1 and len(value) <= 8:
        return ", ".join(format_number(number, ".4g") for number in value.tolist())
    return None


def _same(target: np.ndarray | None, prediction: np.ndarray | None) -> bool | None:
    if target is None or prediction is None or target.dtype.kind == "f":
        return None
    return bool(np.array_equal(target, prediction))
