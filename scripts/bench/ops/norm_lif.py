"""`norm_lif`: batch norm and the LIF scan behind it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.neurons import lif_arguments, spikingjelly_node
from bench.registry import Benchmark, Case, Contender, Tensors, Work
from bench.steps import work

CHANNELS_FIRST = (1, 0, 3, 2)


def inputs(case: Case) -> Tensors:
    shape = [case.options[axis] for axis in ("batch", "timesteps", "tokens", "channels")]
    generator = torch.Generator().manual_seed(0)
    tensors = {"current": torch.randn(shape, generator=generator).to(case.torch_dtype)}
    if case.train:
        upstream = torch.randn(shape, generator=generator)
        tensors["upstream"] = upstream.to(case.torch_dtype)
    channels = shape[-1:]
    return tensors | {
        "weight": 0.5 + torch.rand(channels, generator=generator),
        "bias": 0.5 + 0.1 * torch.randn(channels, generator=generator),
        "running_mean": 0.1 * torch.randn(channels, generator=generator),
        "running_var": 0.5 + torch.rand(channels, generator=generator),
    }


def spikeformer(backend: str, *, compiled: bool = False):
    def build(case: Case, inputs: Tensors) -> Work:
        from spikeformer.ops import norm_lif

        running = {name: inputs.pop(name) for name in ("running_mean", "running_var")}
        options = {**running, **lif_arguments(case), "training": case.train, "backend": backend}
        options["with_state"] = False

        def forward(current: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            return norm_lif(current, weight=weight, bias=bias, **options)[0]

        return work(case, torch.compile(forward) if compiled else forward, inputs)

    return build


def spikingjelly(*, compiled: bool = False):
    def build(case: Case, inputs: Tensors) -> Work:
        node = spikingjelly_node(case)
        running = [inputs.pop(name) for name in ("running_mean", "running_var")]

        # What its SeqToANNContainer(BatchNorm1d) and LIFNode do, with parameters as arguments.
        def norm_and_node(current: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            samples = current.flatten(0, 1)
            samples = F.batch_norm(samples, *running, weight, bias, training=case.train)
            return node(samples.view(current.shape))

        if compiled:
            norm_and_node = torch.compile(norm_and_node)

        def forward(**tensors: Tensor) -> Tensor:
            node.reset()
            return norm_and_node(**tensors)

        return work(case, forward, inputs, axes=CHANNELS_FIRST)

    return build


def rectified(*, compiled: bool = False):
    """Batch norm and ReLU, channels before tokens, where torch's batch norm is fastest."""

    def build(case: Case, inputs: Tensors) -> Work:
        running = [inputs.pop(name) for name in ("running_mean", "running_var")]

        def forward(current: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            samples = current.flatten(0, 1)
            normed = F.batch_norm(samples, *running, weight, bias, training=case.train)
            return normed.relu().view(current.shape)

        return work(
            case, torch.compile(forward) if compiled else forward, inputs, axes=(0, 1, 3, 2)
        )

    return build


def _integers(case: Case) -> str:
    return "it has no integer neurons" if "max_spikes" in case.options else ""


def _one_step(case: Case) -> str:
    return "" if "max_spikes" in case.options else "compared with integer neurons only"


def _case(timesteps: int, batch: int = 8, max_spikes: int = 0, **kind) -> Case:
    name = f"T={timesteps}, B={batch}, N=196, C=384"
    options = {"timesteps": timesteps, "batch": batch, "tokens": 196, "channels": 384}
    if max_spikes:
        name, options["max_spikes"] = f"{name}, D={max_spikes}", max_spikes
    return Case(name, options, **kind)


BENCHMARK = Benchmark(
    title="norm_lif",
    description="""Batch norm over batch, time and tokens, then the scan of [lif](lif.md) with the
reset detached, as in every block of a Spikformer. Compared: spikes and the gradients of current,
weight and bias. Inference uses running statistics. Nobody asks for the state after the last
timestep (`with_state=False`). Neurons with D fire up to D spikes at once.

- SpikingJelly: `BatchNorm1d` and `LIFNode` in its own layout, (time, batch, channels, tokens);
  compiled as one function.
- Batch norm and ReLU: another function of the same currents, whose place integer neurons take
  where T=1; in the layout (batch, channels, tokens).

SpikeFormer's pass forward reads and writes what a compiled formula does, a tensor each. Batch
norm's numbers of a few tokens serve all others and stay in the cache, and two timesteps are
computed together, so that they are read once for both.""",
    cases=(
        _case(4),
        _case(16),
        _case(4, train=False),
        *(_case(1, 32, levels, train=train) for levels in (4, 8) for train in (True, False)),
        _case(4, 64, device="cuda"),
        _case(4, 64, device="cuda", dtype="bfloat16", tolerance=2e-2),
    ),
    contenders=(
        Contender("SpikeFormer", spikeformer("auto")),
        Contender("SpikeFormer reference", spikeformer("reference")),
        Contender("SpikeFormer reference, compiled", spikeformer("reference", compiled=True)),
        Contender("SpikingJelly", spikingjelly(), "spikingjelly", _integers),
        Contender("SpikingJelly, compiled", spikingjelly(compiled=True), "spikingjelly", _integers),
        Contender("Batch norm and ReLU", rectified(), obstacle=_one_step, yardstick=True),
        Contender(
            "Batch norm and ReLU, compiled",
            rectified(compiled=True),
            obstacle=_one_step,
            yardstick=True,
        ),
    ),
    inputs=inputs,
)
