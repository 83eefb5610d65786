"""The network on a neuromorphic chip: equality, accuracy, placement, cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikeformer.hardware import arithmetic_label
from spikeformer.i18n import format_number, t
from spikeformer.reporting import formats, read
from spikeformer.reporting.figures import plot_placement
from spikeformer.reporting.figures.placement import MAX_CHIPS
from spikeformer.reporting.results import RunResults
from spikeformer.reporting.sections.section import Content, ReportFigure, register_section


@register_section(
    "hardware", title="Hardware", order=47, source="results/hardware.json", optional=True
)
def hardware(results: RunResults) -> Content | None:
    """Show how the deployed network compares with PyTorch and what it takes of the chip."""
    found = results.hardware
    if found is None:
        return None
    names = [row["layer"] for row in found["layers"]]
    prefix = formats.common_prefix(names)
    values: dict[str, object] = {
        "target": found["target"],
        "samples": found["samples"],
        "simulated": found["simulated"],
        "comparisons": [
            _comparison(row) for row in (*_before_the_chip(results), *found["comparisons"])
        ],
        "accuracies": _accuracies(found),
        "traffic": _traffic(found["traffic"]),
        "prefix": prefix,
        "layers": [_layer(row, prefix) for row in found["layers"]],
        "has_cores": any("cores" in row for row in found["layers"]),
        "has_integers": any("weights" in row for row in found["layers"]),
        "energy": [_energy(row) for row in found["energy"]],
        "placement": None,
    }
    if not found.get("placement"):
        return Content(values)
    placement = found["placement"]
    limits = placement["limits"]
    cores = [_core(core) for core in placement["cores"]]
    values["placement"] = {
        **placement,
        "shown": min(placement["num_chips"], MAX_CHIPS),
        "limits": limits,
    }
    cores_used, chips, kind = placement["num_cores"], placement["num_chips"], limits["name"]
    alt = t("reporting.placement_alt", cores=cores_used, chips=chips, type=kind)
    picture = plot_placement(cores, limits["cores_per_chip"], limits["synapse_bytes_per_core"])
    return Content(values, {"placement": ReportFigure(picture, alt)})


def _before_the_chip(results: RunResults) -> list[Any]:
    """Return the comparisons of the verify stage: the graph, and float32."""
    found = read.json_object(results.folder / "hardware" / "equivalence.json") or {}
    return [found[key] for key in ("graph", "float32") if key in found]


def _comparison(row: Mapping[str, Any]) -> dict[str, Any]:
    names = {key: arithmetic_label(row[key]) for key in ("recorded", "expected")}
    return {**row, **names}


def _core(core: list[Any]) -> dict[str, Any]:
    """Return a core as the figure takes it; the order is that of `hardware.Core`."""
    chip, number, population, _, _, _, used = core
    return {"chip": chip, "core": number, "population": population, "used": used}


def _traffic(traffic: Mapping[str, float]) -> list[tuple[str, str]]:
    labels = {
        "latency_steps": t("reporting.latency_steps"),
        "steps_per_sample": t("reporting.steps_per_sample"),
        "spikes_per_sample": t("reporting.spikes_per_sample"),
        "packets_per_sample": t("reporting.packets_per_sample"),
        "synaptic_events_per_sample": t("reporting.synaptic_events_per_sample"),
    }
    return [(label, formats.count(traffic[key])) for key, label in labels.items()]


def _accuracies(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    labels = {
        "pytorch": arithmetic_label("pytorch_float64"),
        **{key: arithmetic_label(name) for key, name in found["arithmetic"].items()},
        "before": t("reporting.before_tuning"),
    }
    # One row where the target has no numbers of its own.
    by_label = {labels[key]: value for key, value in found["accuracy"].items()}
    rows = [(label, formats.percent(value)) for label, value in by_label.items()]
    return [*rows, (t("reporting.same_class_as_pytorch"), formats.percent(found["agreement"]))]


def _energy(row: Mapping[str, Any]) -> dict[str, str]:
    shown = {key: f"{format_number(value, ',.3g')} µJ" for key, value in row["energy_uj"].items()}
    return {"chip": row["technology"], "source": row["source"], **shown}


def _layer(row: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    shown = {**row, "name": row["layer"].removeprefix(prefix)}
    if "weights" in row:
        low, high = row["weights"]
        shown["weight_range"] = t("reporting.range", low=low, high=high)
        low, high = (format_number(value, ",.0f") for value in row["state"])
        shown["state_range"] = t("reporting.range", low=low, high=high)
        shown["error"] = format_number(row["rounding_error"], ".2g")
    if "synapse_bytes" in row:
        shown["memory"] = f"{format_number(row['synapse_bytes'] / 1024, ',.0f')} KiB"
    return shown
