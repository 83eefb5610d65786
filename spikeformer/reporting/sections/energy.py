"""What a sample takes, layer by layer, and beside ordinary networks."""

from __future__ import annotations

from spikeformer.profiling.figures import plot_comparison, plot_layer_energy
from spikeformer.profiling.text import energy_text
from spikeformer.reporting import _format
from spikeformer.reporting.results import EnergyResults, RunResults
from spikeformer.reporting.sections._section import Content, ReportFigure, register_section


@register_section("energy", title="Energy", order=45, source="results/energy.json", optional=True)
def energy(results: RunResults) -> Content | None:
    """Show the energy with its bounds and kind, where it goes, and who takes less."""
    found = results.energy
    if found is None:
        return None
    prefix = _format.common_prefix(list(found.layers))
    named = {name.removeprefix(prefix): part for name, part in found.layers.items() if part.value}
    most = max(found.layers, key=lambda name: found.layers[name].value)
    values = {
        **_headline(found),
        "prefix": prefix,
        "rows": [{**row, "name": row["layer"].removeprefix(prefix)} for row in found.table],
        "verdict": found.verdict,
        "comparison_source": found.comparison_source,
        "notes": _notes(found),
        "energy_text": energy_text,
        "count": _format.count,
    }
    layers = ReportFigure(
        plot_layer_energy(named or found.layers),
        f"Modelled energy of {len(named)} layers, most in {most}.",
    )
    alt = "; ".join(
        f"{row.network} {row.precision} {energy_text(row.energy_uj.value)}"
        for row in found.comparison
    )
    rivals = ReportFigure(plot_comparison(found.comparison), f"Modelled energy of a sample: {alt}.")
    return Content(values, {"energy_layers": layers, "energy_comparison": rivals})


def _headline(found: EnergyResults) -> dict[str, object]:
    metrics = found.metrics
    names = ("energy_per_sample_uj", "energy_per_sample_low_uj", "energy_per_sample_high_uj")
    value, low, high = (energy_text(metrics[name]) for name in names)
    return {
        "value": value,
        "low": low,
        "high": high,
        "kind": metrics["kind"],
        "backend": metrics["backend"],
        "source": metrics["source"],
        "samples": metrics["samples"],
    }


def _notes(found: EnergyResults) -> list[str]:
    """Say what the number leaves out."""
    notes = []
    if found.uncovered:
        total = _format.count(sum(found.uncovered.values()))
        layers = ", ".join(found.uncovered)
        notes.append(f"Not included, since the chip cannot run it: {total} products in {layers}.")
    if found.unpriced:
        parts = ", ".join(f"{name} of {count:,} values" for name, count in found.unpriced.items())
        notes.append(f"Not included, for want of a published energy: {parts}, over all samples.")
    if found.uncounted:
        notes.append(f"Not counted: {', '.join(found.uncounted)}.")
    return notes
