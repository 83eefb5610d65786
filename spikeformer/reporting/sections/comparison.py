"""The run beside an earlier one: numbers, and the lines of the configuration that differ."""

from __future__ import annotations

from collections.abc import Mapping

from spikeformer.i18n import format_number, t
from spikeformer.reporting import formats
from spikeformer.reporting.sections.section import Content, register_section
from spikeformer.runs.results import RunResults
from spikeformer.runs.results.baseline import flat
from spikeformer.runs.summary import run_numbers

_HIDDEN = ("energy_per_sample_low_uj", "energy_per_sample_high_uj", "epochs")


@register_section(
    "comparison", title="Comparison", order=25, source="results/baseline.json", optional=True
)
def comparison(results: RunResults) -> Content | None:
    """Set the run beside the baseline that it was given."""
    baseline = results.baseline
    if baseline is None:
        return None
    own = run_numbers(results.stages)
    names = [key for key in formats.RESULTS if key in own or key in baseline.reached]
    names += [key for key in {**own, **baseline.reached} if key not in names]
    rows = []
    for name in (name for name in names if name not in _HIDDEN):
        before, now = baseline.reached.get(name), own.get(name)
        change = _change(name, before, now)
        rows.append((formats.result_label(name), _shown(name, before), _shown(name, now), change))
    lines = _differing(baseline.config, flat(results.config or {}))
    return Content({"baseline": baseline, "rows": rows, "lines": lines})


def _differing(before: Mapping[str, str], now: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return keys with both values where these differ.

    A key whose end is another's, as `model.neuron.tau_mem` of `neuron.tau_mem`, refers to that one
    and is left out if it has the same values.
    """
    differing = {
        key: (before.get(key, ""), now.get(key, ""))
        for key in {**now, **before}
        if before.get(key) != now.get(key)
    }

    def repeats(key: str) -> bool:
        ends = (key.split(".", place)[-1] for place in range(1, key.count(".") + 1))
        return any(differing.get(end) == differing[key] for end in ends)

    return [(key, *values) for key, values in differing.items() if not repeats(key)]


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return formats.count(value) if name == "num_parameters" else formats.metric_value(name, value)


def _change(name: str, before: float | None, now: float | None) -> str:
    """Return the difference: of fractions in points, of other numbers in percent."""
    if before is None or now is None:
        return ""
    if before == now:
        return "="
    if formats.is_fraction(name):
        return t("reporting.points", value=format_number(100 * (now - before), "+.1f"))
    if not before:
        return ""
    return f"{format_number(100 * (now / before - 1), '+.1f')}\u00a0%"
