"""What a sample takes, layer by layer, and beside its ANN."""

from __future__ import annotations

from typing import Any

from spikeformer.i18n import t
from spikeformer.profiling import energy_text
from spikeformer.profiling.figures import plot_break_even, plot_comparison, plot_layer_energy
from spikeformer.reporting import formats
from spikeformer.reporting.sections.section import Content, ReportFigure, register_section
from spikeformer.runs.results import EnergyResults, RunResults


@register_section("energy", title="Energy", order=45, source="results/energy.json", optional=True)
def energy(results: RunResults) -> Content | None:
    """Show the energy with its bounds and kind, where it goes, and who takes less."""
    found = results.energy
    if found is None:
        return None
    modelled = found.modelled.layers
    names = [row["layer"] for row in found.table]
    prefix = formats.common_prefix(names)
    named = {name.removeprefix(prefix): part for name, part in modelled.items() if part.value}
    most = max(modelled, key=lambda name: modelled[name].value)
    values: dict[str, Any] = {
        **_headline(found),
        "prefix_note": formats.prefix_note(names),
        "rows": [{**row, "name": row["layer"].removeprefix(prefix)} for row in found.table],
        "verdict": found.verdict,
        "comparison_source": found.comparison_source,
        "notes": notes(found),
        "levels": [each.sentence() for each in found.break_even],
        "energy_text": energy_text,
        "count": formats.count,
    }
    layers = ReportFigure(
        plot_layer_energy(named or modelled),
        t("reporting.layer_energy_alt", number=len(named), layer=most),
    )
    alt = "; ".join(
        f"{row.network} {row.precision} {energy_text(row.energy_uj.value)}"
        for row in found.comparison
    )
    alt = t("reporting.comparison_alt", rows=alt)
    baselines = ReportFigure(plot_comparison(found.comparison), alt)
    figures = {"energy_layers": layers, "energy_comparison": baselines}
    if found.break_even:
        curves = plot_break_even(found.break_even)
        figures["energy_break_even"] = ReportFigure(curves, " ".join(values["levels"]))
    return Content(values, figures)


def _headline(found: EnergyResults) -> dict[str, object]:
    metrics = found.metrics
    measured = metrics["kind"] == "measured"
    total = formats.markup(
        "reporting.energy_measured" if measured else "reporting.energy_estimate",
        value=energy_text(metrics["energy_per_sample_uj"]),
        low=energy_text(metrics["energy_per_sample_low_uj"]),
        high=energy_text(metrics["energy_per_sample_high_uj"]),
        backend=metrics["backend"],
        samples=metrics["samples"],
    )
    return {"total": total, "kind": metrics["kind"], "source": metrics["source"]}


def notes(found: EnergyResults) -> list[str]:
    """Say what the number leaves out."""
    said = []
    if uncovered := found.modelled.uncovered:
        total = formats.count(sum(uncovered.values()))
        layers = ", ".join(uncovered)
        said.append(t("reporting.uncovered", total=total, layers=layers))
    if found.unpriced:
        parts = ", ".join(
            t("reporting.of_values", name=name, values=count)
            for name, count in found.unpriced.items()
        )
        said.append(t("reporting.unpriced", parts=parts))
    if found.uncounted:
        names = ", ".join(
            t("reporting.share_of_time", name=name, share=share)
            for name, share in found.uncounted.items()
        )
        said.append(t("reporting.uncounted", names=names))
    return said
