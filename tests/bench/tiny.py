"""A benchmark of milliseconds: `lif` twice, one that errs, a yardstick, one that fails, one absent.

No backend has kernels, which every process would compile anew.
"""

from __future__ import annotations

from bench.ops.lif import inputs, spikeformer
from bench.registry import Benchmark, Case, Contender, Work


def wrong(case, tensors):
    step, outputs = spikeformer("reference")(case, tensors)
    return Work(step, lambda result: {k: v + 1.0 for k, v in outputs(result).items()})


def failing(case, tensors):
    raise ValueError("it has a fault\nin detail")


def _case(**kind):
    options = {"batch": 2, "timesteps": 3, "tokens": 4, "features": 5, "detach_reset": False}
    return Case("tiny", options, **kind)


BENCHMARK = Benchmark(
    title="tiny",
    description="A trial.",
    cases=(_case(), _case(train=False), _case(device="cuda")),
    contenders=(
        Contender("SpikeFormer", spikeformer("reference")),
        Contender("SpikeFormer reference", spikeformer("reference")),
        Contender("wrong", wrong),
        Contender("yardstick", wrong, yardstick=True),
        Contender("failing", failing),
        Contender("absent", wrong, library="absent"),
        Contender("unable", wrong, obstacle=lambda case: "it cannot"),
    ),
    inputs=inputs,
)
