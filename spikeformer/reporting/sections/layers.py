"""Firing rate per layer."""

from __future__ import annotations

from spikeformer.i18n import t
from spikeformer.reporting import formats
from spikeformer.reporting.figures import plot_firing_rates
from spikeformer.reporting.sections.section import Content, ReportFigure, register_section
from spikeformer.runs.results import RunResults


@register_section(
    "layers",
    title="Layers",
    order=40,
    source="firing_rates in results/test.json",
    stage="test",
)
def layers(results: RunResults) -> Content | None:
    """Show how much every layer fires and which neurons never or always do."""
    found = results.test
    if found is None or not found.firing_rates:
        return None
    names = list(found.firing_rates)
    prefix = formats.common_prefix(names)
    rows = [
        {
            "name": name.removeprefix(prefix),
            "rate": rate,
            "silent": found.silent.get(name),
            "saturated": found.saturated.get(name),
        }
        for name, rate in found.firing_rates.items()
    ]
    lowest = min(found.firing_rates, key=found.firing_rates.__getitem__)
    highest = max(found.firing_rates, key=found.firing_rates.__getitem__)
    figure = plot_firing_rates(found.firing_rates, found.silent, found.saturated)
    alt = t("reporting.rates_alt", number=len(rows), lowest=lowest, highest=highest)
    values = {"rows": rows, "prefix_note": formats.prefix_note(names)}
    return Content(values, {"firing_rates": ReportFigure(figure, alt)})
