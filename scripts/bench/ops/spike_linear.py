"""`spike_linear`: the linear map of spikes, by firing rate."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.registry import Benchmark, Case, Contender, Tensors, Work
from bench.steps import random_spikes, work


def inputs(case: Case) -> Tensors:
    generator = torch.Generator().manual_seed(0)
    rows, width, outputs = (case.options[key] for key in ("rows", "inputs", "outputs"))
    tensors = {
        "spikes": random_spikes((rows, width), case.options["rate"], generator),
        "weight": torch.randn(outputs, width, generator=generator) / width**0.5,
        "bias": torch.randn(outputs, generator=generator),
    }
    if case.train:
        tensors["upstream"] = torch.randn(rows, outputs, generator=generator)
    return {name: tensor.to(case.torch_dtype) for name, tensor in tensors.items()}


def spikeformer(backend: str):
    def build(case: Case, inputs: Tensors) -> Work:
        from spikeformer.ops.spike_linear import spike_linear

        # In inference, a weight that stays: packed once, at the first call.
        kept = {} if case.train else {"weight": torch.nn.Parameter(inputs["weight"])}
        return work(case, lambda **tensors: spike_linear(**tensors | kept, backend=backend), inputs)

    return build


def matmul(case: Case, inputs: Tensors) -> Work:
    def forward(spikes: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.matmul(spikes, weight.T) + bias

    return work(case, forward, inputs)


def csr(case: Case, inputs: Tensors) -> Work:
    def forward(spikes: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return spikes.to_sparse_csr() @ weight.T + bias

    return work(case, forward, inputs)


def spikingjelly(case: Case, inputs: Tensors) -> Work:
    from spikingjelly.activation_based.functional import sparse_linear

    def forward(spikes: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return sparse_linear(spikes, weight, bias, strategy="sparse")

    return work(case, forward, inputs)


def _inference_only(case: Case) -> str:
    return "it has no gradient" if case.train else ""


def _gpu_only(case: Case) -> str:
    return "" if case.device == "cuda" else "its sparse product is for GPUs"


def _case(percent: int, rows: int = 6272, **kind) -> Case:
    return Case(
        f"{percent}% of spikes, {rows} rows, 384 to 1536",
        {"rate": percent / 100, "rows": rows, "inputs": 384, "outputs": 1536},
        **kind,
    )


BENCHMARK = Benchmark(
    title="spike_linear",
    description="""The linear map of spikes with a bias, at several firing rates; 6272 rows are T=4,
B=8, N=196. The reference is `torch.nn.functional.linear`. Compared: the sums and, for training, the
gradients of spikes, weight and bias.

- torch.matmul: dense, with the bias added.
- torch, sparse: spikes to CSR, times the dense weight; the conversion is included.
- SpikingJelly: `sparse_linear(strategy="sparse")`.""",
    cases=(
        _case(5, train=False),
        _case(1, train=False),
        _case(2, train=False),
        _case(10, train=False),
        _case(20, train=False),
        _case(5),
        _case(5, 50176, train=False, device="cuda"),
    ),
    contenders=(
        Contender("SpikeFormer", spikeformer("auto")),
        Contender("SpikeFormer reference", spikeformer("reference")),
        Contender("torch.matmul", matmul),
        Contender("torch, sparse", csr, obstacle=_inference_only),
        Contender("SpikingJelly", spikingjelly, "spikingjelly", _gpu_only),
    ),
    inputs=inputs,
)
