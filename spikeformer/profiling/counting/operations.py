"""Which operations of torch are counted, and how to read their arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from spikeformer.metrics import spread_of_inputs, window_reach
from spikeformer.profiling.counting.contents import Contents
from spikeformer.profiling.counting.counts import LayerCounts, dense_layer, neuron_layer
from spikeformer.profiling.counting.products import (
    convolution,
    pairwise,
    softmax_attention,
    weighted,
)
from spikeformer.profiling.counting.scene import CountedSpikes, Scene, over_time, spread
from spikeformer.profiling.counting.spike_attention import fused_attention

Counter = Callable[[Scene, Sequence[Any], Any], LayerCounts | list[LayerCounts]]
C = TypeVar("C", bound=Counter)

COUNTERS: dict[Any, Counter] = {}
"""What counts an operation, from its scene, its arguments and its result."""

aten, ours = torch.ops.aten, torch.ops.spikeformer

UNPRICED = {
    aten._softmax: "softmax",
    aten._log_softmax: "softmax",
    aten.gelu: "gelu",
    aten.silu: "silu",
    aten.silu_: "silu",
    aten.mish: "mish",
    aten.tanh: "tanh",
    aten.tanh_: "tanh",
    aten.sigmoid: "sigmoid",
    aten.sigmoid_: "sigmoid",
    aten.exp: "exp",
    aten.exp_: "exp",
    aten.erf: "erf",
}
"""Operations that take arithmetic for which there is no published energy, by what to call them."""


def _counts(*operations: Any) -> Callable[[C], C]:
    def register(counter: C) -> C:
        COUNTERS.update(dict.fromkeys(operations, counter))
        return counter

    return register


@_counts(aten.mm, aten._int_mm)
def _mm(scene: Scene, args: Sequence[Any], out: Any) -> LayerCounts:
    a, b = args[:2]
    if scene.is_parameter(a) and not scene.is_parameter(b):
        return weighted(scene, b.t(), a.t())
    return weighted(scene, a, b) if scene.is_parameter(b) else _bmm(scene, (a[None], b[None]), out)


@_counts(aten.addmm, aten._addmm_activation, aten.baddbmm)
def _added(scene: Scene, args: Sequence[Any], out: Any) -> LayerCounts:
    return (_mm if args[1].dim() == 2 else _bmm)(scene, args[1:], out)


@_counts(aten.bmm)
def _bmm(scene: Scene, args: Sequence[Any], out: Any) -> LayerCounts:
    return pairwise(scene, args[0], args[1])


@_counts(aten.mv, aten.dot)
def _vector(scene: Scene, args: Sequence[Any], out: Any) -> LayerCounts:
    a, b = args[:2]
    return _mm(scene, (b[None], a.t() if a.dim() == 2 else a[:, None]), out)


@_counts(aten.addmv)
def _added_vector(scene: Scene, args: Sequence[Any], out: Any) -> LayerCounts:
    return _vector(scene, args[1:], out)


@_counts(aten.convolution)
def _convolution(scene: Scene, args: Sequence[Any], out: Tensor) -> LayerCounts:
    x, weight, _, stride, padding, dilation, transposed, _, groups = args
    if transposed:
        geometry = (x.shape[2:], weight.shape[2:], stride, padding, dilation)
        reach = spread_of_inputs(*geometry, out.shape[2:]) * weight.shape[1]
    else:
        reach = window_reach(x.shape[2:], weight.shape[2:], stride, padding, dilation)
        reach = reach * (weight.shape[0] // groups)
    return convolution(scene, x, weight, reach, out)


@_counts(
    aten._scaled_dot_product_flash_attention_for_cpu,
    aten._scaled_dot_product_flash_attention,
    aten._scaled_dot_product_efficient_attention,
    aten._scaled_dot_product_cudnn_attention,
    aten._scaled_dot_product_fused_attention_overrideable,
)
def _softmax_attention(scene: Scene, args: Sequence[Any], out: Any) -> LayerCounts:
    causal = any(argument is True for argument in args[3:])
    query, key, value = args[:3]
    return softmax_attention(scene, query, key, value, causal)


@_counts(aten.embedding)
def _embedding(scene: Scene, args: Sequence[Any], out: Tensor) -> LayerCounts:
    rows = out.numel()
    return LayerCounts(
        name=scene.layer,
        kind="embedding",
        weight_reads=rows,
        activation_writes=rows,
        weights=args[0].numel(),
        activations=rows / scene.batch,
    )


@_counts(
    aten.native_batch_norm,
    aten._native_batch_norm_legit,
    aten._native_batch_norm_legit_no_training,
    aten._batch_norm_with_update,
    aten._batch_norm_no_update,
    aten.cudnn_batch_norm,
    aten.miopen_batch_norm,
)
def _batch_norm(scene: Scene, args: Sequence[Any], out: Any) -> LayerCounts:
    """One multiply-accumulate for each value, which inference folds away."""
    return LayerCounts(name=scene.layer, kind="norm", foldable_macs=args[0].numel())


@_counts(aten.native_layer_norm, aten.native_group_norm, aten._fused_rms_norm)
def _layer_norm(scene: Scene, args: Sequence[Any], out: Any) -> LayerCounts:
    """Mean (one addition for each value), variance and scale (a multiply-accumulate each)."""
    values = args[0].numel()
    return LayerCounts(
        name=scene.layer,
        kind="norm",
        macs=2 * values,
        acs=values,
        activation_reads=2 * values,
        activation_writes=values,
        activations=values / scene.batch,
    )


@_counts(aten.mkldnn_rnn_layer)
def _rnn_layer(scene: Scene, args: Sequence[Any], out: Any) -> list[LayerCounts]:
    """One layer and direction of an LSTM: the gates' products with the input and the last output.

    What the layer returns is what its gates get in the next timestep.
    """
    x, into, recurrent, hidden, reverse = args[0], args[1], args[2], args[5], args[7]
    outputs, hidden = (y.reshape(-1, recurrent.shape[1]) for y in (out[0], hidden))
    rows = len(hidden)
    before = torch.cat([outputs[rows:], hidden] if reverse else [hidden, outputs[:-rows]])
    parts = ((x.reshape(-1, into.shape[1]), into), (before, recurrent))
    return [weighted(scene, rows, weight.t()) for rows, weight in parts]


@_counts(aten._cudnn_rnn)
def _cudnn_rnn(scene: Scene, args: Sequence[Any], out: Any) -> list[LayerCounts]:
    """All layers of an RNN, LSTM or GRU; what passes between them is not seen, so no zeros are."""
    x, weights = args[0], [weight for weight in args[1] if weight.dim() == 2]
    rows = x.numel() // x.shape[-1]
    return [_dense_rows(scene, rows, *weight.shape) for weight in weights]


@_counts(torch.ops.quantized.linear_dynamic, torch.ops.quantized.linear)
def _quantised_linear(scene: Scene, args: Sequence[Any], out: Any) -> LayerCounts:
    weight, x = args[1].unpack()[0].dequantize(), args[0]
    x = x.dequantize() if x.is_quantized else x
    return weighted(scene, x.reshape(-1, weight.shape[1]), weight.t())


@_counts(torch.ops.quantized.conv2d, torch.ops.quantized.conv2d_relu)
def _quantised_conv(scene: Scene, args: Sequence[Any], out: Tensor) -> LayerCounts:
    packed, x = args[1], args[0].dequantize()
    weight = packed.unpack()[0].dequantize()
    geometry = (packed.stride(), packed.padding(), packed.dilation())
    reach = window_reach(x.shape[2:], weight.shape[2:], *geometry)
    reach = reach * (weight.shape[0] // packed.groups())
    return convolution(scene, x, weight, reach, out)


@_counts(ours.spike_linear)
def _spike_linear(scene: Scene, args: Sequence[Any], out: Tensor) -> LayerCounts:
    return weighted(scene, args[0], args[1].t(), found=Contents("spikes", args[0]))


@_counts(ours.spike_conv2d)
def _spike_conv2d(scene: Scene, args: Sequence[Any], out: Tensor) -> LayerCounts:
    x, weight, stride, padding, groups = args
    reach = window_reach(x.shape[2:], weight.shape[2:], stride, padding, (1, 1))
    reach = reach * (weight.shape[0] // groups)
    return convolution(scene, x, weight, reach, out, found=Contents("spikes", x))


def _dense_rows(scene: Scene, rows: int, outputs: int, inputs: int) -> LayerCounts:
    """Count rows of real values, not seen, times a weight."""
    steps = scene.steps(rows)
    macs = float(rows * inputs * outputs)
    return dense_layer(
        scene.layer,
        scene.kind,
        macs=macs,
        inputs=rows * inputs,
        outputs=rows * outputs,
        weights=inputs * outputs,
        samples=scene.batch,
        steps=steps,
        timeline=[macs / steps] * steps,
    )


@_counts(ours.spike_attention)
def _spike_attention(scene: Scene, args: Sequence[Any], out: Any) -> list[LayerCounts]:
    return fused_attention(scene, args, out[0])


def fired_neurons(scene: Scene, spikes: Tensor, *, adaptive: bool, max_spikes: int) -> LayerCounts:
    """Count neurons from what they fired: those with `max_spikes` as so many binary steps."""
    unit_steps = max(1, max_spikes)
    timeline = [unit_steps * fired for fired in over_time(spikes)]
    scene.fired = CountedSpikes(spikes, timeline, binary=unit_steps == 1)
    remembers_current = adaptive or scene.layer in scene.network.lasting
    return neuron_layer(
        scene.layer,
        updates=spikes.numel() * unit_steps,
        spikes=sum(timeline),
        neurons=spikes[0, 0].numel(),
        states=2 if remembers_current else 1,
        steps=spikes.shape[1] * unit_steps,
        timeline=spread(timeline, unit_steps),
    )


@_counts(ours.lif)
def _lif(scene: Scene, args: Sequence[Any], out: Any) -> LayerCounts:
    return fired_neurons(scene, out[0], adaptive=args[2] is not None, max_spikes=args[9])


@_counts(ours.norm_lif)
def _norm_lif(scene: Scene, args: Sequence[Any], out: Any) -> list[LayerCounts]:
    norm = LayerCounts(name=scene.layer, kind="norm", foldable_macs=args[0].numel())
    neurons = fired_neurons(scene, out[0], adaptive=args[6] is not None, max_spikes=args[13])
    return [norm, neurons]


NEURONS = frozenset([ours.lif, ours.norm_lif, ours.spike_attention])
"""Operations that are neurons, whose first result is spikes (batch, timesteps, ...)."""

OPERATIONS = frozenset([*COUNTERS, *UNPRICED])
"""All that the counter hears of."""
