"""LIF as an operator of torch, and what its kernels for all devices share.

Tensors are (b, t, f) and states (b, f), in the dtypes of `formats.py`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikeformer.ops.dispatch import load_kernels
from spikeformer.ops.layout import as_rows, empty_rows_like
from spikeformer.ops.lif.dynamics import Dynamics, State
from spikeformer.ops.memory import empty_like
from spikeformer.ops.registration import (
    GRADIENTS,
    NEURON,
    STATE,
    define,
    differentiate,
    float32_like,
)

Affine = tuple[Tensor, Tensor, Tensor]
"""What is taken off, multiplied with and added to every feature, each (f,) in float32."""


def lif_forward(
    current: Tensor,
    state: State,
    dynamics: Dynamics,
    affine: Affine | None = None,
    *,
    keep_membrane: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes, final membrane and final adaptation, which is empty if there is none.

    With `affine` neurons integrate `(current - center) * scale + offset`, one number of each for
    every feature: batch norm on its way into the membrane. Without `keep_membrane`, which takes the
    CPU's kernels and no adaptation, the final membrane is empty too.
    """
    outputs = empty_outputs(current, state, keep_membrane=keep_membrane)
    if current.numel():
        kernels = load_kernels("lif", dynamics.backend)
        kernels.forward(as_rows(current), state, dynamics, affine, *outputs)
    return outputs


def lif_backward(
    current: Tensor,
    state: State,
    dynamics: Dynamics,
    grad_spikes: Tensor,
    grad_state: State,
    affine: Affine | None = None,
) -> tuple[Tensor, ...]:
    """Gradients of current, initial membrane, initial adaptation and parameters.

    Those of an absent initial state, or of parameters that need none, are empty. With `affine`, the
    first is the gradient of its output, and a fifth tensor, (2, f), has the sums of that gradient
    and of its product with `current - center`.
    """
    current, grad_spikes = as_rows(current), as_rows(grad_spikes)
    grads = (empty_rows_like(current), *float32_like(current, *state))
    kernels = load_kernels("lif", dynamics.backend)
    sums = kernels.backward(current, state, dynamics, affine, grad_spikes, grad_state, grads)
    return *grads, *sums


def empty_outputs(
    current: Tensor, state: State, *, keep_membrane: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Room for what `lif_forward` returns."""
    shape = current.shape[::2]
    membrane = empty_like(current, shape if keep_membrane else (0,), torch.float32)
    adaptation = empty_like(membrane, (0,) if state[1] is None else shape)
    return empty_rows_like(as_rows(current)), membrane, adaptation


def _forward(
    current: Tensor, membrane: Tensor | None, adaptation: Tensor | None, *others: Any
) -> tuple[Tensor, Tensor, Tensor]:
    *neuron, keep_membrane = others
    state, dynamics = (membrane, adaptation), Dynamics.of_operator(*neuron)
    return lif_forward(current, state, dynamics, keep_membrane=keep_membrane)


def _forward_fake(
    current: Tensor, membrane: Tensor | None, adaptation: Tensor | None, *others: Any
) -> tuple[Tensor, Tensor, Tensor]:
    return empty_outputs(current, (membrane, adaptation), keep_membrane=others[-1])


def _backward(
    current: Tensor, membrane: Tensor | None, adaptation: Tensor | None, *others: Any
) -> tuple[Tensor, ...]:
    *neuron, grad_spikes, grad_membrane, grad_adaptation = others
    return lif_backward(
        current,
        (membrane, adaptation),
        Dynamics.of_operator(*neuron),
        grad_spikes,
        (grad_membrane, grad_adaptation),
    )


def _backward_fake(current: Tensor, *inputs: Any) -> tuple[Tensor, ...]:
    return empty_rows_like(as_rows(current)), *float32_like(current, *inputs[:3])


lif_op = define(
    "lif",
    f"(Tensor current, {STATE}, {NEURON}, bool keep_membrane) -> (Tensor, Tensor, Tensor)",
    _forward,
    _forward_fake,
)
lif_backward_op = define(
    "lif_backward",
    f"(Tensor current, {STATE}, {NEURON}, {GRADIENTS}) -> (Tensor, Tensor, Tensor, Tensor)",
    _backward,
    _backward_fake,
)
# The input is all that backward needs: it computes membranes and spikes again.
run_lif = differentiate(
    lif_op, lif_backward_op, keep=lambda inputs, _: inputs[:-1], tensors=4, learned=range(4)
)
