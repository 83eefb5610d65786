"""The chips that a network would take: an estimate."""

from __future__ import annotations

from spikeformer.i18n import t
from spikeformer.reporting import formats
from spikeformer.reporting.figures import plot_plan
from spikeformer.reporting.sections.section import Content, ReportFigure, register_section
from spikeformer.runs import RunResults


@register_section("plan", title="Plan", order=48, source="results/plan.json", optional=True)
def plan(results: RunResults) -> Content | None:
    """Show how many chips each layer takes, and how many packets cross between chips."""
    found = results.plan
    if found is None:
        return None
    names = [layer.layer for layer in found.layers]
    prefix = formats.common_prefix(names)
    values: dict[str, object] = {
        "plan": found,
        "prefix_note": formats.prefix_note(names),
        "layers": [
            {**vars(layer), "number": number, "name": layer.layer.removeprefix(prefix)}
            for number, layer in enumerate(found.layers, 1)
        ],
        "sums": [
            (t("reporting.neurons"), formats.count(found.num_neurons)),
            (t("reporting.synapses"), formats.count(found.num_synapses)),
            (t("reporting.plan_packets"), formats.count(found.packets)),
            (t("reporting.plan_crossing"), formats.count(found.crossing)),
            (t("reporting.plan_busiest_sends"), formats.count(found.busiest.sent)),
            (t("reporting.plan_busiest_receives"), formats.count(found.busiest.received)),
        ],
    }
    per_chip = found.limits.cores_per_chip
    picture = plot_plan(
        [layer.cores / per_chip for layer in found.layers],
        [layer.crossing for layer in found.layers],
    )
    cores, count = found.num_cores, len(found.chips)
    alt = t("reporting.plan_alt", cores=cores, chips=count, type=found.limits.name)
    return Content(values, {"plan": ReportFigure(picture, alt)})
