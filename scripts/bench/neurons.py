"""The neuron of the benchmarks: hard reset, as Spikformer has it, in ours and in SpikingJelly's.

Cases with `max_spikes` have integer neurons, which are ours alone.
"""

from __future__ import annotations

from typing import Any

from bench.registry import Case

SLOPE = 4.0
"""Slope of the surrogate `sigmoid`."""


def lif_arguments(case: Case) -> dict[str, Any]:
    """Return what `spikeformer.ops.lif` and the ops with neurons in them take."""
    if "max_spikes" in case.options:
        return {"decay": 0.5, "threshold": 1.0, "max_spikes": case.options["max_spikes"]}
    return {
        "decay": 0.5,
        "threshold": 1.0,
        "reset": "zero",
        "detach_reset": case.options.get("detach_reset", True),
        "surrogate": "sigmoid",
        "slope": SLOPE,
    }


def spikingjelly_node(case: Case):
    """Return SpikingJelly's node with the same equations: v - (v - 0) / 2 + x."""
    from spikingjelly.activation_based import neuron, surrogate

    return neuron.LIFNode(
        tau=2.0,
        decay_input=False,
        v_threshold=1.0,
        v_reset=0.0,
        surrogate_function=surrogate.Sigmoid(alpha=SLOPE),
        detach_reset=case.options.get("detach_reset", True),
        step_mode="m",
    )
