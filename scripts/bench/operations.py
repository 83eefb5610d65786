"""Where the time of a step goes, by kind of operation, as torch's profiler sees it.

Imports torch alone, as workers do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch.profiler import ProfilerActivity, profile


def _of(op: str) -> tuple[str, str]:
    """Parts of the names of an operator of ours, and of what autograd calls it through."""
    return f"spikeformer::{op}", f"spikeformer_{op}"


KINDS = {
    "optimizer": ("Optimizer.", "aten::_foreach", "aten::_fused_adam"),
    "convolution": ("convolution", "conv2d", "conv1d"),  # of spikes too
    "dense": (
        *_of("spike_linear"),
        "aten::mm",
        "aten::addmm",
        "aten::bmm",
        "mkl_linear",
        "qlinear",
    ),
    "norm and neurons, fused": (*_of("norm_lif"), *_of("lif")),
    "attention, fused": _of("spike_attention"),
    "packing of spikes": (*_of("spike_pack"), *_of("spike_unpack")),
    "norm and pooling, fused": ("NormPool",),
    "norm": ("batch_norm",),
    "pooling": ("pool",),
    "copies": ("copy", "clone", "contiguous", "aten::cat", "aten::stack", "fill_", "zero_"),
    "compiled": ("CompiledFunction", "Torch-Compiled", "CompiledFxGraph", "Dynamo"),
}
"""Parts of the names of operations; the first kind with one counts."""

OTHER = "other: element-wise, views, Python between operations"


def kind_of(name: str) -> str:
    """The kind of an operation of this name."""
    return next((kind for kind, parts in KINDS.items() if any(p in name for p in parts)), OTHER)


def by_kind(microseconds: Mapping[str, float], steps: int) -> dict[str, float]:
    """Milliseconds of one step by kind, the longest first."""
    totals: dict[str, float] = {}
    for name, spent in microseconds.items():
        kind = kind_of(name)
        totals[kind] = totals.get(kind, 0.0) + spent / 1000 / steps
    return dict(sorted(totals.items(), key=lambda item: -item[1]))


def measure(step: Callable[[], Any], steps: int = 5) -> dict[str, float]:
    """Milliseconds that a step spends in every kind of operation, those within left out."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(steps):
            step()
    events = {event.key: event.self_cpu_time_total for event in profiled.key_averages()}
    return by_kind(events, steps)
