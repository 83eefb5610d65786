"""Count products: of an operand and a weight, of two operands, and convolutions.

Every function takes the scene and the operands of one operation of torch, and returns what it did.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from spikeformer.profiling.counting.contents import Contents
from spikeformer.profiling.counting.counts import LayerCounts, dense_layer, event_layer
from spikeformer.profiling.counting.scene import Scene, spread


def weighted(
    scene: Scene, x: Tensor, weight: Tensor, *, found: Contents | None = None
) -> LayerCounts:
    """Count x (rows, inputs) times a weight (inputs, outputs)."""
    rows, inputs = x.shape
    outputs = weight.shape[1]
    steps = scene.steps(rows)
    found = found or scene.contents(x, steps)
    events = scene.by_step(found.size, steps)
    return _count(
        scene,
        found.kind,
        events=sum(events),
        operations=[number * outputs for number in events],
        dense=float(rows * inputs * outputs),
        inputs=rows * inputs,
        outputs=rows * outputs,
        weights=inputs * outputs,
        steps=steps,
        unit_steps=found.unit_steps,
    )


def convolution(
    scene: Scene,
    x: Tensor,
    weight: Tensor,
    reach: Tensor,
    out: Tensor,
    *,
    found: Contents | None = None,
) -> LayerCounts:
    """Count a convolution of x (rows, channels, *size), without the zeros of its padding.

    `reach` (*size) tells how many outputs each input pixel has a part in.
    """
    steps = scene.steps(x.shape[0])
    found = found or scene.contents(x, steps)
    planes = scene.split(found.size, steps).sum((0, 2)).double()
    operations = (planes * reach.to(x.device)).flatten(1).sum(1)
    return _count(
        scene,
        found.kind,
        events=float(planes.sum()),
        operations=operations.tolist(),
        dense=x.shape[0] * x.shape[1] * float(reach.double().sum()),
        inputs=x.numel(),
        outputs=out.numel(),
        weights=weight.numel(),
        steps=steps,
        unit_steps=found.unit_steps,
    )


def pairwise(scene: Scene, a: Tensor, b: Tensor) -> LayerCounts:
    """Count products of two operands, (groups, rows, inner) and (groups, inner, columns).

    Where both are spikes, those that coincide are counted; where one is, its events reach a row of
    the other.
    """
    (groups, rows, inner), columns = a.shape, b.shape[2]
    steps = scene.steps(groups)
    (kind_a, size_a, units_a), (kind_b, size_b, units_b) = (
        scene.contents(x, steps) for x in (a, b)
    )
    events_a, events_b = size_a.sum(1), size_b.sum(2)  # of each inner place
    kinds = {kind_a, kind_b}
    if kinds == {"spikes"} or "real" not in kinds or kinds == {"real"}:
        operations, events = events_a * events_b, events_a + events_b
        kind = "spikes" if kinds == {"spikes"} else "real" if "real" in kinds else "graded"
    elif kind_a == "real":
        operations, events, kind = events_b * rows, events_b, kind_b
    else:
        operations, events, kind = events_a * columns, events_a, kind_a
    return _count(
        scene,
        kind,
        events=sum(scene.by_step(events, steps)),
        operations=scene.by_step(operations, steps),
        dense=float(groups * rows * inner * columns),
        inputs=a.numel(),
        outputs=groups * rows * columns,
        weights=b.numel() / (scene.batch * steps),
        steps=steps,
        unit_steps=max(units_a, units_b),
    )


def softmax_attention(
    scene: Scene, query: Tensor, key: Tensor, value: Tensor, causal: bool
) -> LayerCounts:
    """Count softmax(q k^T) v, all (batch, heads, tokens, channels); softmax leaves no zeros."""
    groups = query.shape[:-2].numel()
    queries, keys = query.shape[-2], key.shape[-2]
    pairs = sum(min(row + 1, keys) for row in range(queries)) if causal else queries * keys
    macs = float(groups * pairs * (query.shape[-1] + value.shape[-1]))
    steps = scene.steps(groups)
    return dense_layer(
        scene.layer,
        "attention",
        macs=macs,
        inputs=query.numel(),
        outputs=groups * queries * value.shape[-1],
        weights=(key.numel() + value.numel()) / (scene.batch * steps),
        samples=scene.batch,
        steps=steps,
        timeline=[macs / steps] * steps,
    )


def _count(
    scene: Scene,
    kind: str,
    *,
    events: float,
    operations: list[float],
    dense: float,
    inputs: float,
    outputs: float,
    weights: float,
    steps: int,
    unit_steps: int = 1,
) -> LayerCounts:
    """Return the counts; each timestep is `unit_steps` of them."""
    shared: dict[str, Any] = {
        "inputs": inputs * unit_steps,
        "outputs": outputs * unit_steps,
        "weights": weights,
        "steps": steps * unit_steps,
        "timeline": spread(operations, unit_steps),
    }
    if kind == "real":
        return dense_layer(
            scene.layer,
            scene.kind,
            macs=dense,
            effective_macs=sum(operations),
            samples=scene.batch,
            **shared,
        )
    return event_layer(
        scene.layer,
        scene.kind,
        events=events,
        operations=sum(operations),
        dense=dense * unit_steps,
        targets=outputs / (scene.batch * steps),
        graded=kind == "graded",
        **shared,
    )
