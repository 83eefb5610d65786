"""`spike_match`: minima of integer neurons' spikes."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.registry import Benchmark, Case, Contender, Tensors, Work
from bench.steps import work

LEVELS = 4


def inputs(case: Case) -> Tensors:
    shape = (8, 1, case.options["tokens"], 384)
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randint(LEVELS + 1, shape, generator=generator) / LEVELS for _ in range(2))
    output = (8, 1, 1, 384) if case.options["total"] else shape
    return {"one": one, "other": other, "upstream": torch.randn(output, generator=generator)}


def spikeformer(backend: str, *, compiled: bool = False):
    def build(case: Case, inputs: Tensors) -> Work:
        from spikeformer.ops.spike_match import spike_match

        def forward(one: Tensor, other: Tensor) -> Tensor:
            return spike_match(one, other, total=case.options["total"], backend=backend)

        return work(case, torch.compile(forward) if compiled else forward, inputs)

    return build


def _case(*, total: bool) -> Case:
    name = "total, B=8, N=196, C=384" if total else "minima, B=8, N=196, C=384"
    return Case(name, {"tokens": 196, "total": total})


BENCHMARK = Benchmark(
    title="spike_match",
    description="""In how many unit spikes two integer neurons of 4 levels fire together, for each
token or added up over all tokens. Compared: the matches and both gradients. The reference is
PyTorch's `minimum`.""",
    cases=(_case(total=False), _case(total=True)),
    contenders=(
        Contender("SpikeFormer", spikeformer("auto")),
        Contender("SpikeFormer reference", spikeformer("reference")),
        Contender("SpikeFormer reference, compiled", spikeformer("reference", compiled=True)),
    ),
    inputs=inputs,
)
