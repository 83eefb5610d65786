"""`spike_attention`: attention between spikes and the neurons behind it."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.neurons import lif_arguments, spikingjelly_node
from bench.registry import Benchmark, Case, Contender, Tensors, Work
from bench.steps import random_spikes, work

_SCALE = 0.125
_RATE = 0.2


def inputs(case: Case) -> Tensors:
    shape = [case.options[axis] for axis in ("batch", "timesteps", "tokens", "heads", "channels")]
    generator = torch.Generator().manual_seed(0)
    names = ("query", "key") if case.options["mechanism"] == "qk_token" else NAMES
    tensors = {name: random_spikes(shape, _RATE, generator) for name in names}
    if most := case.options.get("max_spikes"):  # as likely to fire, any number of times
        for name, spikes in tensors.items():
            counts = torch.randint(1, most + 1, shape, generator=generator)
            tensors[name] = spikes * counts / most
    if case.train:
        tensors["upstream"] = torch.randn(shape, generator=generator)
    return {name: tensor.to(case.torch_dtype) for name, tensor in tensors.items()}


NAMES = ("query", "key", "value")


def spikeformer(backend: str, *, compiled: bool = False):
    def build(case: Case, inputs: Tensors) -> Work:
        from spikeformer.ops.spike_attention import spike_attention

        options = {"mechanism": case.options["mechanism"], "scale": _SCALE, "backend": backend}

        def forward(**spikes: Tensor) -> Tensor:
            return spike_attention(**spikes, **options, **lif_arguments(case))[0]

        return work(case, torch.compile(forward) if compiled else forward, inputs)

    return build


def spikingjelly(*, compiled: bool = False):
    def build(case: Case, inputs: Tensors) -> Work:
        from spikingjelly.activation_based.layer.attention import SpikingSelfAttention

        node = spikingjelly_node(case)

        def attend(qkv: Tensor) -> Tensor:
            return node(SpikingSelfAttention._ssa_kernel_torch(qkv, _SCALE))

        attend = torch.compile(attend) if compiled else attend

        def forward(qkv: Tensor) -> Tensor:
            node.reset()
            return attend(qkv)

        # (time, batch, q k v, heads, channels, tokens), one tensor as its projection makes it.
        qkv = torch.stack([inputs[name] for name in NAMES]).permute(2, 1, 0, 4, 5, 3)
        tensors = {"qkv": qkv}
        if case.train:
            tensors["upstream"] = inputs["upstream"].permute(1, 0, 3, 4, 2)
        step, _ = work(case, forward, tensors)

        def outputs(result: Tensors) -> Tensors:
            tensors = {"output": result["output"].permute(1, 0, 4, 2, 3)}
            if case.train:
                grads = result["grad_qkv"].permute(2, 1, 0, 5, 3, 4)
                tensors |= {f"grad_{name}": grad for name, grad in zip(NAMES, grads, strict=True)}
            return tensors

        return Work(step, outputs)

    return build


def _ssa_only(case: Case) -> str:
    if "max_spikes" in case.options:
        return "it has no integer neurons"
    other = case.options["mechanism"] != "ssa"
    return "it has this mechanism only inside a layer with convolutions" if other else ""


def _case(tokens: int, heads: int, mechanism: str = "ssa", **kind) -> Case:
    return Case(
        f"{mechanism}, T=4, B=8, N={tokens}, {heads} heads of 32",
        {"mechanism": mechanism, "timesteps": 4, "batch": 8, **_sizes(tokens, heads)},
        **kind,
    )


def _integers(mechanism: str) -> Case:
    most, tokens, heads = 4, 64, 8
    return Case(
        f"{mechanism} of integers up to {most}, T=1, B=32, N={tokens}, {heads} heads of 32",
        {
            "mechanism": mechanism,
            "max_spikes": most,
            "timesteps": 1,
            "batch": 32,
            **_sizes(tokens, heads),
        },
    )


def _sizes(tokens: int, heads: int) -> dict[str, int]:
    return {"tokens": tokens, "heads": heads, "channels": 32}


BENCHMARK = Benchmark(
    title="spike_attention",
    description="""Attention between spikes that fire at 20%, and the neurons of [lif](lif.md) with
the reset detached behind it: `ssa` is LIF(Q Kᵀ V / 8). Compared: spikes and the gradients of query,
key and value.

- SpikingJelly: what its `SpikingSelfAttention` does between its projections (the product and a
  `LIFNode`), in its own layout, (time, batch, 3, heads, channels, tokens).

On CPUs SpikeFormer packs spikes into bits and counts with AND and popcount. What is left is memory:
with a tensor of spikes as the unit, `sdsa` reads three and writes one forward, reads one and writes
three backward, 8 together, where a compiled formula that keeps floats takes 11; `qk_token` takes 6
where it takes 7. One kernel does a pass, so nothing is read or written twice. At one speed of
memory that allows ratios of 0.73 and 0.86, and of 1 forward, where both read and write the same; to
gain speed too, kernels ask for memory a page ahead, further than processors foresee. `ssa` moves 8
tensors too, but its formulas compute longer than they wait. Tried and slower: tasks
that take some of the features of each row, and, where all of it fits into the cache, stores that go
past the cache and do not read first what they overwrite.

Between integer neurons gates and matches are minima (`spike_match`): kernels keep one byte of each
pair, from which backward knows who takes the gradient. `ssa` multiplies fractions, as its formula
does: planes of bits would take nine products for one. `qk_token` is a sum, neurons and a match,
each a call of its own: at this size, what Python does around them takes longer than they.""",
    cases=(
        _case(64, 8),
        _case(196, 12),
        _case(196, 12, "sdsa"),
        _case(196, 12, "qk_token"),
        _case(196, 12, train=False),
        _integers("qk_token"),
        _integers("sdsa"),
        _integers("ssa"),
        _case(196, 12, device="cuda"),
        _case(196, 12, device="cuda", dtype="bfloat16", tolerance=2e-2),
    ),
    contenders=(
        Contender("SpikeFormer", spikeformer("auto")),
        Contender("SpikeFormer reference", spikeformer("reference")),
        Contender("SpikeFormer reference, compiled", spikeformer("reference", compiled=True)),
        Contender("SpikingJelly", spikingjelly(), "spikingjelly", _ssa_only),
        Contender("SpikingJelly, compiled", spikingjelly(compiled=True), "spikingjelly", _ssa_only),
    ),
    inputs=inputs,
)
