"""The top of the page: what was run, how well it did, what each stage came to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from spikeformer.i18n import format_date, format_number, t
from spikeformer.metrics import metric_label
from spikeformer.reporting import formats
from spikeformer.runs.results import RunResults

# A smaller error is no accuracy; among metrics without one, the first of these leads.
_LEADING = ("accuracy", "f1", "perplexity", "r2", "mae", "rmse", "mse")


@dataclass(frozen=True)
class Fact:
    """A labelled value."""

    label: str
    value: str


@dataclass(frozen=True)
class StageLine:
    """A stage as the page shows it; `state` chooses sign and colour."""

    name: str
    shown: str
    state: str
    seconds: str | None
    error: str | None


@dataclass(frozen=True)
class Headline:
    """What the page's header shows."""

    name: str
    created: str | None
    created_iso: str | None
    score: Fact | None
    facts: list[Fact]
    stages: list[StageLine]


def headline(results: RunResults) -> Headline:
    """Choose the facts that matter first."""
    shown, iso = _date(results.created)
    return Headline(results.name, shown, iso, _score(results), _facts(results), _stages(results))


def _date(created: str | None) -> tuple[str | None, str | None]:
    try:
        moment = datetime.fromisoformat(created or "")
    except ValueError:
        return created, None
    return format_date(moment, t("reporting.date")), moment.isoformat()


def _score(results: RunResults) -> Fact | None:
    kept = results.conversion.evaluation.retention if results.conversion is not None else None
    if kept is not None:
        return Fact(t("reporting.accuracy_kept"), formats.percent(kept))
    metrics = results.test.metrics if results.test is not None else {}
    ranked = [name for name in _LEADING if name in metrics]
    ranked += [name for name in metrics if name not in ("loss", "firing_rate", *_LEADING)]
    ranked += [name for name in ("loss",) if name in metrics]
    if ranked:
        name = ranked[0]
        metric = metric_label(name) if name.islower() else name
        if name in ("f1", "r2", "mae", "rmse", "mse"):
            metric = name.upper()
        label = t("reporting.test_metric", metric=metric)
        return Fact(label, formats.metric_value(name, metrics[name]))
    history = results.history
    if history is not None and "val/accuracy" in history and history["val/accuracy"].notna().any():
        best = float(history["val/accuracy"].max())
        return Fact(t("reporting.best_validation"), formats.percent(best))
    return None


def _facts(results: RunResults) -> list[Fact]:
    facts = _conversion_facts(results)
    fit = results.stages.get("fit")
    if fit is not None and fit.seconds is not None:
        facts.append(Fact(t("reporting.training_time"), formats.duration(fit.seconds)))
    if results.fit is not None:
        parameters = formats.count(results.fit.num_parameters)
        facts.append(Fact(t("reporting.parameters"), parameters))
    rate = _firing_rate(results)
    if rate is not None:
        facts.append(Fact(t("reporting.firing_rate"), formats.percent(rate)))
    if results.history is not None:
        epochs = len(results.history)
        label = t("reporting.one_epoch" if epochs == 1 else "reporting.epochs")
        facts.append(Fact(label, format_number(epochs)))
    return facts


def _conversion_facts(results: RunResults) -> list[Fact]:
    """Return what a conversion comes to: accuracy or perplexity, timesteps, events."""
    if results.conversion is None:
        return []
    evaluation = results.conversion.evaluation
    last, facts = evaluation.last, []
    for name, original, spiking in (
        ("accuracy", evaluation.original_accuracy, last.accuracy),
        ("perplexity", evaluation.original_perplexity, last.perplexity),
    ):
        if spiking is not None:
            value = formats.metric_value(name, spiking)
            if original is not None:
                before = formats.metric_value(name, original)
                value = t("reporting.of_original", spiking=value, original=before)
            facts.append(Fact(metric_label(name), value))
    facts.append(Fact(t("reporting.axis_timesteps"), format_number(last.timesteps)))
    if last.events_per_neuron is not None:
        events = format_number(last.events_per_neuron, ".3g")
        facts.append(Fact(t("reporting.events_per_neuron_fact"), events))
    return facts


def _firing_rate(results: RunResults) -> float | None:
    if results.test is None:
        return None
    if "firing_rate" in results.test.metrics:
        return results.test.metrics["firing_rate"]
    rates = results.test.firing_rates.values()
    return sum(rates) / len(rates) if rates else None


def _stages(results: RunResults) -> list[StageLine]:
    stages = []
    for name, stage in results.stages.items():
        if name == "report" and stage.status != "done":
            continue  # this very page is being written, maybe after an attempt that failed
        seconds = None if stage.seconds is None else formats.duration(stage.seconds)
        state = stage.status if stage.status in ("done", "failed") else "open"
        shown = t(f"reporting.status_{stage.status}")
        stages.append(StageLine(name, shown, state, seconds, stage.error))
    return stages
