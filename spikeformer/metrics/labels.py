"""What metrics are called."""

from __future__ import annotations

from spikeformer.i18n import t, translations


def metric_label(name: str) -> str:
    """Return a metric's name in words of the current locale, or as it is where there are none.

    Example:
        >>> metric_label("firing_rate"), metric_label("top_k")
        ('firing rate', 'top k')
    """
    known = translations.knows(f"metrics.{name}")
    return t(f"metrics.{name}") if known else name.replace("_", " ")
