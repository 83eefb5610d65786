"""From counts to energy: the one function behind every modelled figure."""

from __future__ import annotations

from dataclasses import dataclass

from spikeformer.error_handling import ArgumentError, check_choice
from spikeformer.profiling.counting.counts import OperationCounts
from spikeformer.profiling.pricing.chips import Chip, Occupancy
from spikeformer.profiling.pricing.cmos import Cmos45
from spikeformer.profiling.pricing.costs import Range
from spikeformer.profiling.pricing.technology import (
    TECHNOLOGIES,
    Technology,
    register_technologies,
)

PJ_PER_UJ = 1e6

register_technologies(Cmos45())


@dataclass(frozen=True)
class EnergyEstimate:
    """Modelled energy of one sample, in µJ.

    Attributes:
        energy_uj: The total.
        breakdown: Its parts by purpose, such as "compute" and "memory", or "synapses".
        layers: Its parts by layer, in the network's order.
        technology: What it is for.
        source: Publications behind the constants.
        uncovered: Operations of one sample that the technology cannot run, by layer; not included.
        kind: Always "estimate".
    """

    energy_uj: Range
    breakdown: dict[str, Range]
    layers: dict[str, Range]
    technology: str
    source: str
    uncovered: dict[str, float]
    kind: str = "estimate"


def estimate(
    counts: OperationCounts,
    technology: Technology | str = "simulation",
    *,
    placement: Occupancy | None = None,
) -> EnergyEstimate:
    """Price what a network did.

    Args:
        counts: Its operations, counted by the profiler, by a converted network or by a chip.
        technology: A key of `TECHNOLOGIES`, or one of your own.
        placement: How much of a machine the network occupies, to add what that draws when idle.

    Returns:
        The energy of one sample, with bounds, parts and sources.

    Raises:
        ArgumentError: There is no such technology, or its idle power is not known.

    Example:
        >>> from spikeformer.profiling import Cost, OperationCounts, event_layer, neuron_layer
        >>> work = dict(events=10, operations=1000, dense=4000, weights=4000, targets=100)
        >>> synapses = event_layer("fc", "linear", **work)
        >>> neurons = neuron_layer("lif", updates=100, spikes=7, neurons=100)
        >>> cost = Cost(Range.exactly(23.6), "a publication")
        >>> chip = Chip("mine", synaptic_operation=cost)
        >>> result = estimate(OperationCounts((synapses, neurons)), chip)
        >>> round(result.energy_uj.value, 4), result.kind
        (0.0236, 'estimate')
    """
    if isinstance(technology, str):
        technology = TECHNOLOGIES[check_choice("technology", technology, TECHNOLOGIES)]
    breakdown: dict[str, Range] = {}
    layers: dict[str, Range] = {}
    uncovered: dict[str, float] = {}
    per_sample = 1 / (PJ_PER_UJ * counts.samples)
    for layer in counts.layers:
        prices = technology.price(layer, counts.samples)
        for purpose, price in prices.items():
            breakdown[purpose] = breakdown.get(purpose, _NOTHING) + price * per_sample
        layers[layer.name] = (
            layers.get(layer.name, _NOTHING) + Range.total(prices.values()) * per_sample
        )
        if left_out := technology.uncovered_macs(layer):
            uncovered[layer.name] = uncovered.get(layer.name, 0.0) + left_out / counts.samples
    if placement is not None:
        if not isinstance(technology, Chip):
            raise ArgumentError("placement", placement, "None for anything but a chip")
        breakdown["idle"] = technology.idle_energy(placement) * (1 / PJ_PER_UJ)
    return EnergyEstimate(
        energy_uj=Range.total(breakdown.values()),
        breakdown=breakdown,
        layers=layers,
        technology=technology.name,
        source=technology.source,
        uncovered=uncovered,
    )


_NOTHING = Range.exactly(0.0)
