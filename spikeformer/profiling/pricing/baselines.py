"""The networks that a spiking one has to beat: itself without time, in full and in few bits."""

from __future__ import annotations

import math

from spikeformer.error_handling import check_positive_int
from spikeformer.profiling.counting.counts import LayerCounts, OperationCounts, dense_layer


def ann_equivalent(counts: OperationCounts) -> OperationCounts:
    """Return what the same layers would do in an ANN: once, on real values, without neurons.

    Nothing is known of the zeros among its activations, so none are skipped.

    Args:
        counts: What a spiking network did.

    Example:
        >>> from spikeformer.profiling import event_layer
        >>> spiking = event_layer(
        ...     "fc", "linear", events=4, operations=40, dense=400, weights=100, targets=10, steps=4
        ... )
        >>> ann_equivalent(OperationCounts((spiking,))).layers[0].macs
        100.0
    """
    layers = tuple(_once(layer, counts.samples) for layer in counts.layers if layer.dense)
    return OperationCounts(layers, counts.samples, counts.name)


def _once(layer: LayerCounts, samples: int) -> LayerCounts:
    return dense_layer(
        layer.name,
        layer.kind,
        macs=layer.dense / layer.steps,
        inputs=layer.inputs / layer.steps,
        outputs=layer.outputs / layer.steps,
        weights=layer.weights,
        samples=samples,
    )


def equivalent_bits(timesteps: int) -> int:
    """Return the bits of an activation that says as much as spikes counted over `timesteps`.

    `ceil(log2(T + 1))`, and at most 8, since T spikes can be 0 to T.

    Source: Yan et al., 2024, arXiv:2409.08290.

    Example:
        >>> [equivalent_bits(t) for t in (1, 4, 8, 1000)]
        [1, 3, 4, 8]
    """
    return min(8, math.ceil(math.log2(check_positive_int("timesteps", timesteps) + 1)))
