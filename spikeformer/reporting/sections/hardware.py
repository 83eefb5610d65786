"""The network on a neuromorphic chip: equality, accuracy, placement, cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from spikeformer.hardware import ChipLayer, arithmetic_label
from spikeformer.i18n import format_number, format_time, t
from spikeformer.profiling import EnergyEstimate, energy_text
from spikeformer.reporting import formats
from spikeformer.reporting.figures import plot_placement
from spikeformer.reporting.figures.placement import MAX_CHIPS
from spikeformer.reporting.sections.section import Content, ReportFigure, register_section
from spikeformer.runs import HardwareResults, RunResults, VerificationResults


@register_section(
    "hardware", title="Hardware", order=47, source="results/hardware.json", optional=True
)
def hardware(results: RunResults) -> Content | None:
    """Show how the deployed network compares with PyTorch and what it takes of the chip."""
    found = results.hardware
    if found is None:
        return None
    names = [row.layer for row in found.layers]
    prefix = formats.common_prefix(names)
    values: dict[str, object] = {
        "target": found.target,
        "samples": found.samples,
        "simulated": found.simulated,
        "comparisons": _comparisons(found, results.verification),
        "accuracies": _accuracies(found),
        "traffic": _traffic(found.traffic),
        "prefix_note": formats.prefix_note(names),
        "layers": [_layer(row, prefix) for row in found.layers],
        "has_cores": any(row.cores is not None for row in found.layers),
        "has_integers": any(row.weights is not None for row in found.layers),
        "energy": [_energy(row) for row in found.energy],
        "placement": found.placement,
    }
    placement = found.placement
    if placement is None:
        return Content(values)
    limits = placement.limits
    cores = [
        {
            "chip": core.chip,
            "core": core.core,
            "population": core.population,
            "used": core.synapse_bytes,
        }
        for core in placement.cores
    ]
    populations = Counter(core.population for core in placement.cores)
    values["legend"] = [
        {"number": number, "name": name.removeprefix(prefix), "cores": count}
        for number, (name, count) in enumerate(populations.items(), 1)
    ]
    values["shown_chips"] = min(placement.num_chips, MAX_CHIPS)
    alt = t(
        "reporting.placement_alt",
        cores=placement.num_cores,
        chips=placement.num_chips,
        type=limits.name,
    )
    picture = plot_placement(cores, limits.cores_per_chip, limits.synapse_bytes_per_core)
    return Content(values, {"placement": ReportFigure(picture, alt)})


def _comparisons(
    found: HardwareResults, verification: VerificationResults | None
) -> list[dict[str, Any]]:
    """Return the comparisons of the verify stage, the graph and float32, and those of the chip."""
    first = [verification.graph, verification.float32] if verification is not None else []
    return [
        {
            "recorded": arithmetic_label(row.recorded),
            "expected": arithmetic_label(row.expected),
            "mismatches": row.mismatches,
            "compared": row.compared,
        }
        for row in (*first, *found.comparisons)
    ]


def _traffic(traffic: Mapping[str, float]) -> list[tuple[str, str]]:
    labels = {
        "latency_steps": t("reporting.latency_steps"),
        "latency_steps_without_host": t("reporting.latency_steps_without_host"),
        "steps_per_sample": t("reporting.steps_per_sample"),
        "spikes_per_sample": t("reporting.spikes_per_sample"),
        "packets_per_sample": t("reporting.packets_per_sample"),
        "synaptic_events_per_sample": t("reporting.synaptic_events_per_sample"),
        "messages_to_host_per_sample": t("reporting.messages_to_host_per_sample"),
        "host_bytes_per_timestep": t("reporting.host_bytes_per_timestep"),
    }
    rows = [(label, formats.count(traffic[key])) for key, label in labels.items() if key in traffic]
    if "chip_share" in traffic:
        rows.append((t("reporting.chip_share"), formats.percent(traffic["chip_share"])))
    if "chip_seconds_per_sample" in traffic:
        shown = format_time(traffic["chip_seconds_per_sample"])
        rows.append((t("reporting.chip_seconds_per_sample"), shown))
    return rows


def _accuracies(found: HardwareResults) -> list[tuple[str, str]]:
    labels = {
        "pytorch": arithmetic_label("pytorch_float64"),
        **{key: arithmetic_label(name) for key, name in found.arithmetic.items()},
    }
    # One row where the target has no numbers of its own.
    by_label = {labels[key]: value for key, value in found.accuracy.items()}
    if found.accuracy_before is not None:
        by_label[t("reporting.before_tuning")] = found.accuracy_before
    by_label[t("reporting.same_class_as_pytorch")] = found.agreement
    return [(label, formats.percent(value)) for label, value in by_label.items()]


def _energy(row: EnergyEstimate) -> dict[str, str]:
    shown = {
        # A bound of zero is none.
        key: energy_text(value) if value else "\N{EN DASH}"
        for key, value in vars(row.energy_uj).items()
    }
    return {"chip": row.technology, "source": row.source, **shown}


def _layer(row: ChipLayer, prefix: str) -> dict[str, Any]:
    shown = {**vars(row), "name": row.layer.removeprefix(prefix)}
    if row.weights is not None:
        low, high = row.weights
        shown["weight_range"] = t("reporting.range", low=low, high=high)
    if row.state is not None:
        bounds = (format_number(value, ",.0f") for value in row.state)
        shown["state_range"] = t(
            "reporting.range", **dict(zip(("low", "high"), bounds, strict=True))
        )
    error = row.rounding_error  # which converted networks state as their outputs' accuracy
    shown["error"] = "\N{EN DASH}" if error is None else format_number(error, ".2g")
    if row.synapse_bytes is not None:
        shown["memory"] = f"{format_number(row.synapse_bytes / 1024, ',.0f')} KiB"
    return shown
