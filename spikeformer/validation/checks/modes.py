"""Checks of a trained network's two modes, side by side."""

from __future__ import annotations

from collections.abc import Iterator

from spikeformer.i18n import t
from spikeformer.validation.probe import ModesSubject
from spikeformer.validation.registry import register_check
from spikeformer.validation.result import ValidationLevel as Level
from spikeformer.validation.result import ValidationResult as Result

_FACTOR, _RATE = 1.5, 0.02
"""How far firing rates may lie apart, as a factor or as a difference."""
_ACCURACY = 0.1


@register_check(ModesSubject, Level.STANDARD)
def modes_agree(subject: ModesSubject) -> Iterator[Result]:
    """Find batch norms whose running statistics are not those of the data."""
    if subject.modes is None:
        return
    training, evaluation = subject.modes
    low, high = sorted((training.firing_rate, evaluation.firing_rate))
    rates = {"training": training.firing_rate, "evaluation": evaluation.firing_rate}
    differ = high > _FACTOR * low and high - low > _RATE
    message = t("validation.modes_differ", **rates)
    if training.accuracy is not None and evaluation.accuracy is not None:
        differ |= abs(training.accuracy - evaluation.accuracy) > _ACCURACY
        right = {"training_right": training.accuracy, "evaluation_right": evaluation.accuracy}
        message = t("validation.modes_differ_accuracy", **rates, **right)
    if differ:
        remedy = t("validation.modes_differ_remedy")
        yield Result(Level.WARNING, message, "", remedy, evaluation.firing_rate)
