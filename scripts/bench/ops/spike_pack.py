"""`spike_pack`: spikes to one bit each, and back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bench.registry import Benchmark, Case, Contender, Tensors, Work
from bench.steps import random_spikes, work


def inputs(case: Case) -> Tensors:
    shape = (8, case.options["timesteps"], 196, 384)
    spikes = random_spikes(shape, 0.2, torch.Generator().manual_seed(0))
    if case.options["unpack"]:
        return {"bits": torch.from_numpy(np.packbits(spikes.bool().numpy(), bitorder="little"))}
    return {"spikes": spikes.to(case.torch_dtype)}


def spikeformer(backend: str):
    def build(case: Case, inputs: Tensors) -> Work:
        from spikeformer.ops.spike_pack import SpikeLayout, spike_pack, spike_unpack

        layout = SpikeLayout((8, case.options["timesteps"], 196, 384), (0, 1, 2, 3), torch.float32)

        def pack(spikes: Tensor) -> Tensor:
            return spike_pack(spikes, backend=backend)

        def unpack(bits: Tensor) -> Tensor:
            return spike_unpack(bits, layout, backend=backend)

        return work(case, unpack if case.options["unpack"] else pack, inputs)

    return build


def numpy(case: Case, inputs: Tensors) -> Work:
    def pack(spikes: Tensor) -> Tensor:
        return torch.from_numpy(np.packbits(spikes.numpy() != 0, bitorder="little"))

    def unpack(bits: Tensor) -> Tensor:
        ones = np.unpackbits(bits.numpy(), bitorder="little").astype(np.float32)
        return torch.from_numpy(ones).view(8, case.options["timesteps"], 196, 384)

    return work(case, unpack if case.options["unpack"] else pack, inputs)


def spikingjelly(case: Case, inputs: Tensors) -> Work:
    from spikingjelly.activation_based import functional

    def pack(spikes: Tensor) -> Tensor:
        return functional.bit_spike_compress(spikes)

    def unpack(bits: Tensor) -> Tensor:
        shape = (8, case.options["timesteps"], 196, 384)
        return functional.bit_spike_decompress(bits, shape, torch.float32)

    return work(case, unpack if case.options["unpack"] else pack, inputs)


def _cpu_only(case: Case) -> str:
    return "" if case.device == "cpu" else "NumPy has no GPU"


def _case(timesteps: int, *, unpack: bool = False, **kind) -> Case:
    return Case(
        f"{'unpack' if unpack else 'pack'}, T={timesteps}, B=8, N=196, D=384",
        {"timesteps": timesteps, "unpack": unpack},
        train=False,
        **kind,
    )


BENCHMARK = Benchmark(
    title="spike_pack",
    description="""Spikes of float32 to bits (`spike_pack`) and back (`spike_unpack`). Compared: the
bits and the spikes.

- NumPy: `packbits` of `spikes != 0`, and `unpackbits` and a cast, on one thread.
- SpikingJelly: `bit_spike_compress` and `bit_spike_decompress`.""",
    cases=(
        _case(4),
        _case(4, unpack=True),
        _case(32),
        _case(32, device="cuda"),
        _case(32, unpack=True, device="cuda"),
    ),
    contenders=(
        Contender("SpikeFormer", spikeformer("auto")),
        Contender("SpikeFormer reference", spikeformer("reference")),
        Contender("NumPy", numpy, obstacle=_cpu_only),
        Contender("SpikingJelly", spikingjelly, "spikingjelly"),
    ),
    inputs=inputs,
)
