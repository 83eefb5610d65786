"""A converted network beside its original."""

from __future__ import annotations

from dataclasses import asdict

from markupsafe import Markup

from spikeformer.conversion import ConversionReport, Evaluation
from spikeformer.i18n import format_number, t
from spikeformer.profiling import energy_text
from spikeformer.reporting import formats
from spikeformer.reporting.figures.conversion import plot_events, plot_read_early, plot_trade_off
from spikeformer.reporting.sections.section import Content, ReportFigure, register_section
from spikeformer.runs import RunResults

_ABSENT = "\N{EN DASH}"


@register_section(
    "conversion", title="Conversion", order=15, source="results/conversion.json", optional=True
)
def conversion(results: RunResults) -> Content | None:
    """Show accuracy, agreement and events over timesteps, and what became of every module."""
    found = results.conversion
    if found is None:
        return None
    evaluation, report = found.evaluation, found.report
    steps = [asdict(step) for step in evaluation.steps]
    figures = {
        "conversion": ReportFigure(
            plot_read_early(steps, evaluation.original_accuracy),
            t("reporting.conversion_alt", steps=len(steps)),
        ),
        "events": ReportFigure(plot_events(steps), t("reporting.events_alt", steps=len(steps))),
    }
    if report.trade_off:
        figures["trade_off"] = ReportFigure(
            plot_trade_off(report.trade_off, report.choice),
            t("reporting.trade_off_alt"),
        )
    values = {
        "written": _written(found.pretrained, report),
        "rows": _rows(evaluation),
        "num_samples": evaluation.num_samples,
        "of_tokens": evaluation.original_perplexity is not None,
        "modules": report.computing,
    }
    return Content(values, figures)


def _written(pretrained: str, report: ConversionReport) -> Markup:
    """Say what stands for an activation."""
    coding, choice = report.coding, report.choice
    values = {
        "pretrained": formats.breakable(pretrained),
        "encoding": coding.encoding,
        "neuron": coding.neuron_model,
        "timesteps": report.timesteps,
    }
    if not choice:
        return formats.markup("reporting.coding", **values)
    values["target"] = choice["target"]
    if not choice["confidence"]:
        return formats.markup("reporting.coding_chosen", **values)
    return formats.markup("reporting.coding_chosen_exit", confidence=choice["confidence"], **values)


def _rows(evaluation: Evaluation) -> list[tuple[str, str, str]]:
    """Return name, original and spiking value of each figure that was measured."""

    def share(value: float | None) -> str:
        return _ABSENT if value is None else formats.percent(value)

    def number(value: float | None, spec: str) -> str:
        return _ABSENT if value is None else format_number(value, spec)

    def milliseconds(value: float | None) -> str:
        return (
            _ABSENT if value is None else f"{format_number(1e3 * value, '.3g')}\N{NO-BREAK SPACE}ms"
        )

    def energy(bounds: tuple[float, float, float] | None) -> str:
        if bounds is None:
            return _ABSENT
        low, value, high = (energy_text(x).replace(" ", "\N{NO-BREAK SPACE}") for x in bounds)
        return t("reporting.value_and_range", value=value, low=low, high=high)

    last = evaluation.last
    rows = [
        (t("reporting.accuracy"), share(evaluation.original_accuracy), share(last.accuracy)),
        (t("reporting.same_class_as_original"), "", share(last.agreement)),
        (t("reporting.output_error"), "", number(last.error, ".2g")),
        (
            t("reporting.events_per_neuron_and_sample"),
            "",
            number(last.events_per_neuron, ".3g"),
        ),
        (t("reporting.silent_share"), "", share(evaluation.sparsity)),
        (
            t("reporting.energy_45nm"),
            energy(evaluation.original_energy_uj),
            energy(last.energy_uj),
        ),
        (
            t("reporting.time_here"),
            milliseconds(evaluation.original_seconds),
            milliseconds(evaluation.seconds),
        ),
    ]
    if evaluation.original_perplexity is not None:
        original, perplexity = evaluation.original_perplexity, last.perplexity
        bits = evaluation.bits_per_byte
        rows[:0] = [
            (t("reporting.perplexity"), number(original, ".4g"), number(perplexity, ".4g")),
            (
                t("reporting.bits_per_byte"),
                number(bits(original), ".4g"),
                number(bits(perplexity), ".4g"),
            ),
            (t("reporting.divergence"), "", number(last.divergence, ".2g")),
        ]
    if evaluation.exit_timesteps is not None:
        exit_timesteps = format_number(evaluation.exit_timesteps, ".2f")
        rows.append((t("reporting.exit_timestep"), "", exit_timesteps))
        rows.append((t("reporting.exit_accuracy"), "", share(evaluation.exit_accuracy)))
    return rows
