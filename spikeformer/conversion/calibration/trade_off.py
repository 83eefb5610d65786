"""What fewer levels and timesteps save, what they cost, and which of them to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from spikeformer.conversion.evaluation.evaluation import evaluate_conversion
from spikeformer.conversion.evaluation.figures import Evaluation
from spikeformer.conversion.model import SpikingModel
from spikeformer.error_handling import check_choice

TARGETS = ("accuracy", "energy", "latency")
AGREEMENT = 0.99
"""Least share of samples with the original's class that a cheaper network may have."""

ERROR = 0.02
"""Most relative error that it may have, where there are no classes."""

FEWER_LEVELS = (3, 4, 6)
"""Numbers of levels tried besides the converter's own."""

FEWER_WIDE_LEVELS = (12, 16)
"""Likewise for a coding with headroom, whose highest levels are seldom in use."""

CONFIDENCES = (0.7, 0.8, 0.9, 0.95, 0.99)
"""Early exits tried, the hastiest first."""


def measure(
    spiking: SpikingModel,
    original: nn.Module,
    batches: Sequence[Any],
    *,
    keeps_levels: bool = False,
) -> list[dict[str, Any]]:
    """Return figures for each number of levels and timesteps, plain values by name.

    Args:
        spiking: The network; it comes back with the coding that it had.
        original: What it was converted from.
        batches: What to measure on.
        keeps_levels: Try no fewer levels of rate coding.
    """
    coding, timesteps = spiking.coding, spiking.timesteps
    settings = [(coding, timesteps)]
    if coding.encoding == "rate" and not keeps_levels:
        tried = FEWER_LEVELS if coding.headroom == 1.0 else FEWER_WIDE_LEVELS
        fewer = [levels for levels in tried if levels < coding.levels]
        settings += [(replace(coding, levels=levels), timesteps) for levels in fewer]
    elif coding.encoding == "radix":
        settings += [(coding, digits) for digits in range(2, timesteps)]
    rows = []
    for spiking.coding, spiking.timesteps in settings:
        result = _evaluate(spiking, original, batches, ("agreement", "error", "events", "energy"))
        for figures in result.steps:
            energy = None if figures.energy_uj is None else figures.energy_uj[1]
            rows.append(
                {
                    "levels": spiking.coding.num_levels,
                    "timesteps": figures.timesteps,
                    "agreement": figures.agreement,
                    "error": figures.error,
                    "events_per_neuron": figures.events_per_neuron,
                    "energy_uj": energy,
                }
            )
    spiking.coding, spiking.timesteps = coding, timesteps
    return rows


def choose(rows: Sequence[dict[str, Any]], target: str) -> dict[str, Any]:
    """Return the row that serves a target best.

    "accuracy" takes the highest agreement, then the least error. "energy" takes the least energy,
    and "latency" the fewest timesteps and then the least error, of the rows that are faithful
    enough (`AGREEMENT`, or `ERROR` where there are no classes); if none is, the most accurate.
    """
    check_choice("optimization_target", target, TARGETS)
    accurate = min(rows, key=lambda row: (-(row["agreement"] or 0.0), row["error"]))
    faithful = [row for row in rows if _is_faithful(row)]
    if target == "accuracy" or not faithful:
        return accurate
    if target == "energy":
        return min(faithful, key=lambda row: row["energy_uj"])
    return min(faithful, key=lambda row: (row["timesteps"], row["error"]))


def choose_confidence(
    spiking: SpikingModel, original: nn.Module, batches: Sequence[Any]
) -> float | None:
    """Return the hastiest early exit at which classes still agree; None if none does."""
    for confidence in CONFIDENCES:
        spiking.confidence = confidence
        result = _evaluate(spiking, original, batches, ("agreement",))
        if result.exit_agreement is None:
            break
        if result.exit_agreement >= AGREEMENT:
            return confidence
    return None


def _is_faithful(row: dict[str, Any]) -> bool:
    if row["agreement"] is not None:
        return bool(row["agreement"] >= AGREEMENT)
    return bool(row["error"] <= ERROR)


def _evaluate(
    spiking: SpikingModel, original: nn.Module, batches: Sequence[Any], metrics: Sequence[str]
) -> Evaluation:
    return evaluate_conversion(spiking, batches, metrics, original=original)
