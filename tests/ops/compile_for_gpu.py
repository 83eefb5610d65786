"""Compiles the Triton kernels for a GPU that need not be there.

The interpreter, which the other tests run without a GPU, accepts Python that Triton's compiler does
not. Here calls of an op on CPU tensors compile its kernels and launch nothing. Triton decides when
it is imported whether it interprets, so this is a process of its own:
`python -m tests.ops.compile_for_gpu cuda`.
"""

from __future__ import annotations

import sys
from unittest import mock

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.autotuner import Autotuner
from triton.runtime.jit import JITFunction

from spikeformer.ops import SURROGATES
from spikeformer.ops.dispatch import load_kernels

TARGETS = {"cuda": GPUTarget("cuda", 80, 32), "hip": GPUTarget("hip", "gfx942", 64)}


def compile_only(target):
    """Let every launch end after compilation, for all configurations of an autotuned kernel."""
    launch = JITFunction.run

    def compile_all(tuner, *args, **kwargs):
        for config in tuner.configs:
            tuner.fn.run(*args, **kwargs, **config.all_kwargs())

    driver.set_active(mock.Mock(**{"get_current_target.return_value": target}))
    JITFunction.run = lambda kernel, *args, warmup, **kw: launch(kernel, *args, warmup=True, **kw)
    Autotuner.run = compile_all


def lif():
    kernels = load_kernels("lif", "triton")
    numbers, tensor = [0.9, 1.0, 0.7, 0.2], torch.ones(4)

    def run(current, state, adaptation, parameters, reset, detach, surrogate, affine):
        kernels.forward(current, state, adaptation, parameters, reset, affine)
        with_parameters = parameters is tensor
        grads = current, state, adaptation
        options = parameters, reset, detach, surrogate, 2.0
        kernels.backward(current, state, adaptation, *options, *grads, with_parameters, affine)

    for index, surrogate in enumerate(SURROGATES):
        reset = ("subtract", "zero")[index % 2]
        run(torch.ones(2, 3, 7), None, None, numbers, reset, index < 3, surrogate, None)
    for timesteps, features in ((1, 1), (5, 64), (17, 7)):
        state, affine = torch.ones(2, features), (torch.ones(features),) * 3
        for dtype in (torch.float32, torch.bfloat16):
            current = torch.ones(2, timesteps, features, dtype=dtype)
            run(current, state, state, tensor, "zero", False, "atan", affine)


if __name__ == "__main__":
    compile_only(TARGETS[sys.argv[1]])
    lif()
