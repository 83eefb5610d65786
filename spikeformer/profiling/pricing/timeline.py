"""Energy of each timestep of a sample."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spikeformer.profiling.counting.counts import LayerCounts, OperationCounts
from spikeformer.profiling.pricing.costs import Range
from spikeformer.profiling.pricing.estimate import PJ_PER_UJ
from spikeformer.profiling.pricing.technology import Technology


def energy_by_step(counts: OperationCounts, technology: Technology) -> npt.NDArray[np.float64]:
    """Spread a sample's energy over its timesteps by the work that was done in each.

    Neurons are updated in all timesteps alike; what runs once for a sample runs in the first.

    Args:
        counts: What a network did.
        technology: What prices it.

    Returns:
        Energy in µJ, shape (timesteps,).

    Example:
        >>> from spikeformer.profiling import Chip, Cost, event_layer
        >>> chip = Chip("mine", Cost(Range.exactly(23.6), "a publication"))
        >>> layer = event_layer(
        ...     "fc",
        ...     "linear",
        ...     events=2,
        ...     operations=20,
        ...     dense=80,
        ...     weights=20,
        ...     targets=10,
        ...     steps=4,
        ...     timeline=[0, 10, 0, 10],
        ... )
        >>> energy_by_step(OperationCounts((layer,)), chip).round(6).tolist()
        [0.0, 0.000236, 0.0, 0.000236]
    """
    energy = np.zeros(counts.timesteps)
    for layer in counts.layers:
        price = Range.total(technology.price(layer, counts.samples).values()).value
        energy[: layer.steps] += _shares(layer) * price
    return energy / (PJ_PER_UJ * counts.samples)


def _shares(layer: LayerCounts) -> npt.NDArray[np.float64]:
    work = np.zeros(layer.steps)
    work[: len(layer.timeline)] = layer.timeline
    if layer.neuron_updates or not work.sum():
        return np.full(layer.steps, 1 / layer.steps)
    shares: npt.NDArray[np.float64] = work / work.sum()
    return shares
