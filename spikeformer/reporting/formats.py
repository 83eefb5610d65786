"""Numbers and names as a reader wants to meet them."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup, escape

from spikeformer.i18n import format_number, t
from spikeformer.metrics import metric_label

_NBSP = "\u00a0"
_ACRONYMS = {"mse", "mae", "rmse", "r2", "f1", "auc", "auroc", "ece", "map", "lr"}
RESULTS = (
    "accuracy",
    "val/accuracy",
    "firing_rate",
    "energy_per_sample_uj",
    "num_parameters",
    "seconds",
    "epochs",
    "original_accuracy",
    "agreement",
    "events_per_neuron",
)
"""Results whose labels are messages of their own, in the order of tables of runs."""
_FRACTIONS = (
    "accuracy",
    "precision",
    "recall",
    "f1",
    "firing_rate",
    "sparsity",
    "specificity",
    "agreement",
)


def is_fraction(metric: str) -> bool:
    """Tell whether a metric of this name is a fraction to be shown in percent."""
    return metric.endswith(_FRACTIONS)


def percent(fraction: float) -> str:
    """Format a fraction: one decimal, but never rounded up to a perfect score.

    Example:
        >>> [percent(x).replace(chr(160), " ") for x in (0.12345, 1.0, 0.99972, 0.0)]
        ['12.3 %', '100 %', '99.97 %', '0 %']
    """
    if not math.isfinite(fraction):
        return t("reporting.not_available")
    if fraction in (0.0, 1.0):
        return f"{fraction * 100:.0f}{_NBSP}%"
    if 0.0 < fraction < 0.0005:
        return f"< {format_number(0.1)}{_NBSP}%"
    if 0.9995 <= fraction < 1.0:
        return f"{format_number(math.floor(fraction * 1e4) / 1e2, '.2f')}{_NBSP}%"
    return f"{format_number(fraction * 100, '.1f')}{_NBSP}%"


def metric_value(name: str, value: float) -> str:
    """Format a metric's value by what its name says it is."""
    if not math.isfinite(value):
        return str(value)
    if is_fraction(name) and 0.0 <= value <= 1.0:
        return percent(value)
    return format_number(value, ",.0f" if abs(value) >= 1e4 else ".4g")


def metric_name(name: str) -> str:
    """Turn `val/firing_rate` into "Firing rate" and `mse` into "MSE"."""
    words = metric_label(name.rsplit("/", 1)[-1]).replace("-", " ").split()
    words = [word.upper() if word.lower() in _ACRONYMS else word for word in words]
    shown = " ".join(words)
    return shown[:1].upper() + shown[1:]


def mean_and_deviation(name: str, mean: float, deviation: float | None) -> str:
    """Format a metric's mean over runs with its standard deviation, where there is one.

    Example:
        >>> mean_and_deviation("accuracy", 0.9125, 0.0123).replace(chr(160), " ")
        '91.3 ± 1.2 %'
        >>> mean_and_deviation("energy_per_sample_uj", 102.512, 0.618)
        '102.51 ± 0.62'
    """
    if deviation is None:
        return metric_value(name, mean)
    if is_fraction(name):
        both = (format_number(100 * value, ".1f") for value in (mean, deviation))
        return f"{' ± '.join(both)}{_NBSP}%"
    if not deviation or not math.isfinite(deviation):
        return f"{metric_value(name, mean)} ± {metric_value(name, deviation)}"
    places = max(0, 1 - math.floor(math.log10(deviation)))  # two digits of the deviation
    return " ± ".join(format_number(value, f",.{places}f") for value in (mean, deviation))


def result_label(key: str) -> str:
    """Return what a result of `RunSummary.numbers` is called in tables and on axes."""
    if key in RESULTS:
        return t(f"reporting.label_{key.replace('/', '_')}")
    if "." in key:  # a stage's number that no table has a name for
        return key
    split, slash, _ = key.partition("/")
    kind = split if slash and split in ("train", "val") else "test"
    return t(f"reporting.label_{kind}", metric=metric_in_label(key))


def metric_in_label(key: str) -> str:
    """Return a metric's name as it stands inside a label."""
    name = metric_name(key)
    return name if name.isupper() else name[:1].lower() + name[1:]


def setting(value: str | int | float | bool | None) -> str:
    """Format a value of the configuration; None is what a run does not set."""
    if value is None:
        return t("reporting.unset")
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def short_key(key: str) -> str:
    """Return the end of a dotted key, which says most."""
    return ".".join(key.split(".")[-2:])


def duration(seconds: float) -> str:
    """Format a time span with its two largest units.

    Example:
        >>> [duration(x).replace(chr(160), " ") for x in (0.84, 12.3, 83, 7500)]
        ['0.8 s', '12 s', '1 min 23 s', '2 h 5 min']
    """
    if seconds < 9.95:
        return f"{format_number(seconds, '.1f')}{_NBSP}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{_NBSP}s"
    if whole < 3600:
        return f"{whole // 60}{_NBSP}min {whole % 60}{_NBSP}s"
    minutes = round(seconds / 60)
    return f"{format_number(minutes // 60)}{_NBSP}h {minutes % 60}{_NBSP}min"


def count(value: float) -> str:
    """Format a count with three significant digits and k, M or G.

    Example:
        >>> [count(x).replace(chr(160), " ") for x in (812, 412_345, 1_234_567)]
        ['812', '412 k', '1.23 M']
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:  # 999,999 is 1.00 M
            scaled = value / size
            digits = 2 if scaled < 10 else 1 if scaled < 100 else 0
            return f"{format_number(scaled, f'.{digits}f')}{_NBSP}{unit}"
    return f"{value:.0f}"


def markup(key: str, /, **values: object) -> Markup:
    """Return a message that holds HTML, its text values escaped."""
    safe = {name: escape(x) if isinstance(x, str) else x for name, x in values.items()}
    return Markup(t(key, **safe))


def breakable(name: str) -> Markup:
    """Let a long dotted name break after its dots and underscores."""
    return Markup(str(escape(name)).replace(".", ".<wbr>").replace("_", "_<wbr>"))


def tail(name: str, length: int) -> str:
    """Cut the front off a long dotted name, whose end says most, behind a dot if there is one.

    Example:
        >>> tail("blocks.0.attention.neuron", 18), tail("abcdefgh", 4)
        ('…attention.neuron', '…fgh')
    """
    name = " ".join(name.split())
    if len(name) <= length:
        return name
    kept = name[len(name) - length + 1 :]
    _, _, whole = kept.partition(".")
    return f"…{whole or kept}"


def common_prefix(names: Sequence[str]) -> str:
    """Return the dotted prefix that most names share, such as `backbone.`.

    It is "" where fewer than three in four share one, and where a name without it could then be
    taken for one of those that lost it.

    Example:
        >>> common_prefix(["net.stem.neuron", "net.head.neuron"])
        'net.'
    """
    if len(names) < 2:
        return ""
    ((root, _),) = Counter(_first_part(name) for name in names).most_common(1)
    sharing = [name for name in names if name.startswith(f"{root}.")]
    if len(sharing) < max(2, 0.75 * len(names)):
        return ""
    first, last = min(sharing), max(sharing)  # whatever these two share, all between them share
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    prefix = first[: first.rfind(".", 0, len(list(same))) + 1]
    left = {_first_part(name.removeprefix(prefix)) for name in sharing}
    return "" if left & _others(names, prefix) else prefix


def _first_part(name: str) -> str:
    return name.partition(".")[0]


def _others(names: Sequence[str], prefix: str) -> set[str]:
    """First parts of the names without the prefix."""
    return {_first_part(name) for name in names if not name.startswith(prefix)}


def prefix_note(names: Sequence[str]) -> Markup:
    """Say which prefix names are shown without, and which names never had it; empty if none is."""
    prefix = common_prefix(names)
    if not prefix:
        return Markup()
    others = [Markup("<code>{}</code>").format(name) for name in sorted(_others(names, prefix))]
    if not others:
        return markup("reporting.prefix_left_out", prefix=prefix)
    others_listed = Markup(", ").join(others)
    return markup("reporting.prefix_left_out_but", prefix=prefix, others=others_listed)


def without_common_prefix(names: Sequence[str]) -> list[str]:
    """Return the names without the dotted prefix that most of them share."""
    prefix = common_prefix(names)
    return [name.removeprefix(prefix) for name in names]


def shorten(name: str, length: int) -> str:
    """Cut the middle out of a long name, on one line."""
    name = " ".join(name.split())
    if len(name) <= length:
        return name
    head = (length - 1) // 2
    return f"{name[:head]}…{name[len(name) - (length - 1 - head) :]}"
