"""`norm_pool`: batch norm of pictures and the maximum of neighbours behind it."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.registry import Benchmark, Case, Contender, Tensors, Work
from bench.steps import work


def inputs(case: Case) -> Tensors:
    batch, channels, side = (case.options[axis] for axis in ("batch", "channels", "side"))
    generator = torch.Generator().manual_seed(0)
    tensors = {"x": torch.randn(batch, channels, side, side, generator=generator)}
    if case.train:
        half = (side + 1) // 2
        tensors["upstream"] = torch.randn(batch, channels, half, half, generator=generator)
    return tensors | {
        "weight": 0.5 + torch.rand(channels, generator=generator),
        "bias": 0.1 * torch.randn(channels, generator=generator),
        "running_mean": 0.1 * torch.randn(channels, generator=generator),
        "running_var": 0.5 + torch.rand(channels, generator=generator),
    }


def spikeformer(backend: str, *, compiled: bool = False):
    def build(case: Case, inputs: Tensors) -> Work:
        from spikeformer.ops.norm_pool import norm_pool

        running = [inputs.pop(name) for name in ("running_mean", "running_var")]

        def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            return norm_pool(x, weight, bias, *running, training=case.train, backend=backend)

        return work(case, torch.compile(forward) if compiled else forward, inputs)

    return build


def _case(*, train: bool = True) -> Case:
    options = {"batch": 32, "channels": 96, "side": 32}
    return Case("B=32, C=96, 32x32 pixels", options, train=train)


BENCHMARK = Benchmark(
    title="norm_pool",
    description="""Batch norm and the maximum of 3x3 neighbours at every second pixel, as in the
stem of a network for pictures. Compared: the maxima and the gradients of picture, weight and bias.
Inference uses running statistics. The reference is PyTorch's `batch_norm` and `max_pool2d`.""",
    cases=(_case(), _case(train=False)),
    contenders=(
        Contender("SpikeFormer", spikeformer("auto")),
        Contender("SpikeFormer reference", spikeformer("reference")),
        Contender("SpikeFormer reference, compiled", spikeformer("reference", compiled=True)),
    ),
    inputs=inputs,
)
