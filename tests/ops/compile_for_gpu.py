"""Compiles the Triton kernels for a GPU that need not be there.

The interpreter, which the other tests run without a GPU, accepts Python that Triton's compiler does
not. Here calls of an op on CPU tensors compile its kernels and launch nothing. Triton decides when
it is imported whether it interprets, so this is a process of its own:
`python -m tests.ops.compile_for_gpu`.
"""

from __future__ import annotations

from unittest import mock

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.autotuner import Autotuner
from triton.runtime.jit import JITFunction

from spikeformer.ops import SURROGATES
from spikeformer.ops.dispatch import load_kernels
from spikeformer.ops.lif import Dynamics
from spikeformer.ops.lif.operator import lif_backward, lif_forward

SHAPES = ((1, 1, torch.float32), (5, 64, torch.bfloat16), (17, 7, torch.float32))
"""Timesteps, features and a type: each of a kernel's compile-time choices is met, not all pairs."""

TARGETS = {"cuda": GPUTarget("cuda", 80, 32), "hip": GPUTarget("hip", "gfx942", 64)}


def compile_only():
    """Let every launch end after compilation, each autotuned kernel's first for all its configs."""
    launch, tuned = JITFunction.run, set()

    def compile_all(tuner, *args, **kwargs):
        first = tuner not in tuned
        tuned.add(tuner)
        for config in tuner.configs if first else tuner.configs[:1]:
            tuner.fn.run(*args, **kwargs, **config.all_kwargs())

    JITFunction.run = lambda kernel, *args, warmup, **kw: launch(kernel, *args, warmup=True, **kw)
    Autotuner.run = compile_all


def lif(surrogates, shapes):
    numbers, tensor = [0.9, 1.0, 0.7, 0.2], torch.ones(4)

    def run(current, state, adaptation, parameters, reset, detach, surrogate, affine, most=0):
        dynamics = Dynamics(parameters, reset, detach, surrogate, 2.0, most, "triton")
        lif_forward(current, (state, adaptation), dynamics, affine)
        lif_backward(current, (state, adaptation), dynamics, current, (state, adaptation), affine)

    for index, surrogate in enumerate(surrogates):
        reset = ("subtract", "zero")[index % 2]
        run(torch.ones(2, 3, 7), None, None, numbers, reset, index < 3, surrogate, None)
    for timesteps, features, dtype in shapes:
        state, affine = torch.ones(2, features), (torch.ones(features),) * 3
        current = torch.ones(2, timesteps, features, dtype=dtype)
        run(current, state, state, tensor, "zero", False, "atan", affine)
    run(current, state, None, tensor, "subtract", False, "atan", affine, most=4)


def norm_lif(shapes):
    kernels = load_kernels("norm_lif", "triton")
    for dtype in {dtype for *_, dtype in shapes}:
        x, vector = torch.ones(2, 5, 7, dtype=dtype), torch.ones(7)
        kernels.sums_around(x, vector)
        kernels.finish_gradient(x.clone(), x, *(vector,) * 4)


def spike_encode(shapes):
    forward = load_kernels("spike_encode", "triton").forward
    for _, features, dtype in shapes:
        x = torch.ones(2, 1, features, dtype=dtype)
        for code in ("rate", "latency", "delta"):
            forward(x, 5, code, 0.5, None)
        forward(x, 5, "poisson", 0.5, torch.zeros(2, dtype=torch.int64))


def spike_pack_and_linear(shapes):
    pack, linear = load_kernels("spike_pack", "triton"), load_kernels("spike_linear", "triton")
    for dtype in {dtype for *_, dtype in shapes}:
        pack.unpack(pack.pack(torch.ones(21, dtype=dtype)), 21, dtype)
        spikes, weight = torch.ones(5, 7, dtype=dtype), torch.ones(9, 7, dtype=dtype)
        bias = None if dtype is torch.float32 else weight[:, 0].contiguous()
        linear.forward(spikes, weight, bias)


def spike_match(shapes):
    kernels = load_kernels("spike_match", "triton")
    for dtype in {dtype for *_, dtype in shapes}:
        one = torch.ones(2, 3, 5, 2, 7, dtype=dtype)
        for shared, other in (("channels", one[..., :1]), ("tokens", one[:, :, :1]), ("", one)):
            out, order = kernels.forward(one, other, shared, False)
            kernels.backward(order, out, dtype, shared)
        kernels.forward(one, one, "", True)


if __name__ == "__main__":
    compile_only()
    for name, target in TARGETS.items():
        driver.set_active(mock.Mock(**{"get_current_target.return_value": target}))
        # Both compile the same Triton; one of them meets all surrogates and shapes.
        first = name == "cuda"
        shapes = SHAPES if first else SHAPES[1:2]
        lif(SURROGATES if first else list(SURROGATES)[:1], shapes)
        for run in (norm_lif, spike_encode, spike_pack_and_linear, spike_match):
            run(shapes)
        print(name)
