"""Linear map, batch norm and LIF in one operator of training, which keeps bits and no currents.

`norm_lif` keeps its input for backward: a float of every neuron and timestep. Where that input is
the product of binary spikes, their bits, which the gradient of the product's weight needs anyway,
bring it back by multiplying once more. Spikes are (b, t, f), where f holds a row of inputs for
every token.
"""

from __future__ import annotations

from typing import Any, Unpack

import torch
from torch import Tensor

from spikeformer.error_handling import ArgumentError
from spikeformer.ops.dense import linear, weight_gradient
from spikeformer.ops.lif.dynamics import Dynamics, LifArguments
from spikeformer.ops.norm_lif import operator
from spikeformer.ops.norm_lif.op import check_channels, norm_lif
from spikeformer.ops.registration import (
    GRADIENTS,
    NEURON,
    STATE,
    autocast,
    define,
    differentiate,
)
from spikeformer.ops.spike_linear import spike_linear
from spikeformer.ops.spike_pack import SpikeLayout, spike_pack, spike_unpack


def linear_norm_lif(
    spikes: Tensor,
    matrix: Tensor,
    *,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float = 0.1,
    eps: float = 1e-5,
    **neuron: Unpack[LifArguments],
) -> Tensor:
    """`norm_lif` of `spike_linear` while training, with its current computed again in backward.

        spikes, _ = norm_lif(spike_linear(spikes, matrix), ..., training=True)

    Outputs and gradients are those of the two ops. For backward it keeps one bit of each input
    instead of the current, at the price of one more product.

    Args:
        spikes: Spikes, exactly 0 or 1, (batch, timesteps, ..., inputs).
        matrix: Weight of the linear map, (channels, inputs); it has no bias, which batch norm would
            take off again.
        weight: Factor of each channel, (channels,).
        bias: Summand of each channel, (channels,), in units of the threshold.
        running_mean: Running mean of each channel, (channels,); updated.
        running_var: Running unbiased variance of each channel, (channels,); updated.
        momentum: Share of the batch in the running statistics.
        eps: Added to the variance.
        **neuron: Arguments of `lif`, whose neurons start at rest.

    Returns:
        Spikes, (batch, timesteps, ..., channels), as `norm_lif` returns them.

    Raises:
        ArgumentError: If shapes do not fit each other, an argument of the neuron is outside its
            documented range, or there is but one value a channel.
        BackendUnavailableError: If an explicit backend cannot run on the spikes' device.

    References:
        Chen et al. 2016, arXiv:1604.06174 (computing activations again).

    Example:
        >>> norm = dict(weight=torch.ones(1), bias=torch.zeros(1))
        >>> statistics = dict(running_mean=torch.zeros(1), running_var=torch.ones(1))
        >>> spikes, matrix = torch.tensor([[[0.0, 1.0], [1.0, 1.0]]]), torch.ones(1, 2)
        >>> linear_norm_lif(spikes, matrix, **norm, **statistics, decay=0.5).flatten().tolist()
        [0.0, 0.0]
    """
    if spikes.dim() < 3 or matrix.dim() != 2 or matrix.shape[1] != spikes.shape[-1]:
        shapes = tuple(spikes.shape), tuple(matrix.shape)
        expected = "spikes (batch, timesteps, ..., inputs) and a matrix (channels, inputs)"
        raise ArgumentError("spikes, matrix", shapes, expected)
    norm: dict[str, Any] = {"weight": weight, "bias": bias}
    running = running_mean, running_var
    spikes, matrix = autocast(spikes, matrix)
    shape = (*spikes.shape[:-1], matrix.shape[0])
    like = spikes.new_empty(()).expand(shape)
    dynamics, (_, adaptation) = Dynamics.of("norm_lif", like, None, **neuron)
    count = like.numel() // max(1, matrix.shape[0])
    if dynamics.backend == "reference" or count < 2:
        norm |= {"running_mean": running_mean, "running_var": running_var, "training": True}
        current = spike_linear(spikes, matrix, backend=dynamics.backend)
        return norm_lif(current, momentum=momentum, eps=eps, **norm, **neuron)[0]
    check_channels(matrix.shape[0], {**norm, "running_mean": running[0], "running_var": running[1]})
    fired, _, _, *used = run_linear_norm_lif(
        spikes.flatten(2),
        matrix,
        weight,
        bias,
        None,
        None,
        None,
        None if adaptation is None else adaptation.flatten(1),
        *dynamics.for_operator(spikes.device),
        1,
        eps,
    )
    operator.follow(running, used, count, momentum)
    out: Tensor = fired.view(shape)
    return out


def _current(spikes: Tensor, matrix: Tensor) -> Tensor:
    """Current, (b, t, f), of spikes in any shape that begins with batch and time."""
    rows = spikes.reshape(-1, matrix.shape[1])
    return spike_linear(rows, matrix).view(*spikes.shape[:2], -1)


def _current_fake(spikes: Tensor, matrix: Tensor) -> Tensor:
    batch, timesteps, inputs = spikes.shape
    return spikes.new_empty(batch, timesteps, inputs // matrix.shape[1] * matrix.shape[0])


def _forward(spikes: Tensor, matrix: Tensor, *others: Any) -> tuple[Tensor, ...]:
    return operator.forward(_current(spikes, matrix), *others, True)


def _forward_fake(spikes: Tensor, matrix: Tensor, *others: Any) -> tuple[Tensor, ...]:
    return operator.forward_fake(_current_fake(spikes, matrix), *others, True)


def _backward(bits: Tensor, matrix: Tensor, *others: Any) -> tuple[Tensor, ...]:
    """Gradients of spikes, matrix, and what else `norm_lif` takes."""
    layout = _layout(others[-3], matrix)
    spikes = spike_unpack(bits, layout)
    grad, *others_grads = operator.backward(_current(spikes, matrix), *others)
    grad_rows = grad.reshape(-1, matrix.shape[0])
    grad_spikes = linear(grad_rows, matrix.t()).view(layout.shape)
    grad_matrix = weight_gradient(grad_rows, spikes.view(-1, matrix.shape[1]))
    return grad_spikes, grad_matrix, *others_grads


def _backward_fake(bits: Tensor, matrix: Tensor, *others: Any) -> tuple[Tensor, ...]:
    grads = operator.backward_fake(others[-3], *others)
    return matrix.new_empty(_layout(others[-3], matrix).shape), torch.empty_like(matrix), *grads[1:]


def _layout(fired: Tensor, matrix: Tensor) -> SpikeLayout:
    """Layout of the spikes whose currents fired spikes shaped like these."""
    batch, timesteps, features = fired.shape
    channels, inputs = matrix.shape
    shape = batch, timesteps, features // channels * inputs
    return SpikeLayout(shape, (0, 1, 2), matrix.dtype)


def _keep(inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> tuple[Any, ...]:
    spikes, *others = inputs
    return spike_pack(spikes.contiguous()), *operator.keep((*others, True), outputs)


_TENSORS = "Tensor matrix, Tensor weight, Tensor bias"

linear_norm_lif_op = define(
    "linear_norm_lif",
    f"(Tensor spikes, {_TENSORS}, Tensor? mean, Tensor? variance, {STATE}, {NEURON}, int inner,"
    " float eps) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    _forward,
    _forward_fake,
)
linear_norm_lif_backward_op = define(
    "linear_norm_lif_backward",
    f"(Tensor bits, {_TENSORS}, Tensor mean, Tensor variance, {STATE}, {NEURON}, int inner,"
    f" float eps, bool from_batch, {GRADIENTS})"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
    _backward,
    _backward_fake,
)
run_linear_norm_lif = differentiate(
    linear_norm_lif_op,
    linear_norm_lif_backward_op,
    keep=_keep,
    tensors=9,
    learned=(0, 1, 2, 3, 6, 7, 8),
)
