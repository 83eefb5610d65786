"""Spike attention with Triton: attention and its neurons in one pass forward.

Nothing between the spikes that enter and those that leave is written to memory. Backward unpacks
the spikes and takes matrix products around the kernels of `lif`.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F

from spikeformer.ops.lif.dynamics import Dynamics, State
from spikeformer.ops.lif.triton import in_memory_or_not
from spikeformer.ops.spike_attention.composed import (
    Spikes,
    empty_bits,
    fire,
    gated_backward,
    ssa_backward,
)
from spikeformer.ops.spike_attention.reference import attention_current, keys_meet_values_first
from spikeformer.ops.spike_attention.triton_kernels import (
    qk_token_kernel,
    sdsa_kernel,
    ssa_kernel,
)
from spikeformer.ops.spike_pack import SpikeLayout, spike_pack, spike_unpack

# Elements of a tile of spikes in registers, and the widest heads whose products fit beside it.
_TILE, _MAX_CHANNELS = 2048, 128

# Features of a program of "sdsa".
_FEATURES = 64

# The largest number up to which half precision counts exactly.
_EXACT = 2048


def forward(
    spikes: Spikes,
    state: State,
    dynamics: Dynamics,
    mechanism: str,
    scale: float,
    causal: bool,
    save: bool,
) -> tuple[Tensor, ...]:
    """Spikes, final membrane, final adaptation, and with `save` the bits of query, key and value.

    What there is not, is empty.
    """
    query, key, value = spikes
    bits = empty_bits(spikes, save=False)
    if save:
        bits = (_pack(query), _pack(key), bits[2] if value is None else _pack(value))
    if mechanism == "ssa" and query.shape[4] > _MAX_CHANNELS:
        current = attention_current(*spikes, mechanism=mechanism, scale=scale, causal=causal)
        fired, *final = fire(current, state, dynamics)
        return fired.to(query.dtype).contiguous(), *final, *bits
    batch, timesteps, queries, heads, channels = query.shape
    out = query.new_empty(query.shape)
    counted = 1 if mechanism == "sdsa" and not causal else queries
    features = (heads,) if value is None else (heads, channels)
    membrane = query.new_empty(batch, counted, *features, dtype=torch.float32)
    adaptation = torch.empty_like(membrane) if state[1] is not None else membrane.new_empty(0)
    if out.numel() == 0:
        return out, membrane.zero_(), adaptation.zero_(), *bits
    common = (
        *(None if x is None else x.contiguous() for x in state),
        *in_memory_or_not(dynamics),
        out,
        membrane,
        adaptation,
    )
    options = {"TO_ZERO": dynamics.reset == "zero", "enable_fp_fusion": False}
    with torch.cuda.device_of(query):  # type: ignore[no-untyped-call]
        if value is None:
            width = triton.next_power_of_2(channels)
            rows = max(1, _TILE // width)
            qk_token_kernel[(batch * triton.cdiv(queries * heads, rows),)](
                query,
                key,
                *common,
                timesteps,
                queries * heads,
                heads,
                channels,
                query.stride(),
                key.stride(),
                BLOCK_ROWS=rows,
                BLOCK_CHANNELS=width,
                **options,
            )
        elif mechanism == "sdsa":
            sdsa_kernel[(batch * triton.cdiv(heads * channels, _FEATURES),)](
                query,
                key,
                value,
                *common,
                timesteps,
                queries,
                key.shape[2],
                heads * channels,
                channels,
                query.stride(),
                key.stride(),
                value.stride(),
                CAUSAL=causal,
                BLOCK_TOKENS=_TILE // _FEATURES,
                BLOCK_FEATURES=_FEATURES,
                **options,
            )
        else:
            width = max(16, triton.next_power_of_2(channels))
            tokens = _TILE // width
            exact = max(channels, key.shape[2]) <= _EXACT
            ssa_kernel[(batch * heads * triton.cdiv(queries, tokens),)](
                query,
                key,
                value,
                *common,
                scale,
                timesteps,
                queries,
                key.shape[2],
                heads,
                channels,
                query.stride(),
                key.stride(),
                value.stride(),
                CAUSAL=causal,
                KEYS_FIRST=not causal and keys_meet_values_first(query, key),
                OPERAND=tl.float16 if exact else tl.float32,
                BLOCK_TOKENS=tokens,
                BLOCK_CHANNELS=width,
                **options,
            )
    return out, membrane, adaptation, *bits


def backward(
    bits: Spikes,
    state: State,
    dynamics: Dynamics,
    mechanism: str,
    scale: float,
    causal: bool,
    grad_spikes: Tensor,
    grad_state: State,
) -> tuple[Tensor, ...]:
    """Gradients of query, key, value, membrane, adaptation and parameters; empty where None."""
    query, key = (_unpack(packed, grad_spikes) for packed in bits[:2])
    value = None if bits[2] is None else _unpack(bits[2], grad_spikes)
    if mechanism == "ssa" and value is not None:
        spikes = (query, key, value)
        grads = ssa_backward(spikes, state, dynamics, scale, causal, grad_spikes, grad_state)
    else:
        gated = (query, key, value)
        grads = gated_backward(gated, state, dynamics, causal, grad_spikes, grad_state)
    return *(grad.to(grad_spikes.dtype).contiguous() for grad in grads[:3]), *grads[3:]


def _pack(spikes: Tensor) -> Tensor:
    """Bits of spikes (b, t, n, h, d): (b, t, n, bytes), so that a token's begin with a byte."""
    rows = spikes.flatten(3)
    padded = F.pad(rows, (0, -rows.shape[3] % 8)).contiguous()
    bits = spike_pack(padded, backend="triton")
    return bits.view(*padded.shape[:3], padded.shape[3] // 8)


def _unpack(bits: Tensor, grad_spikes: Tensor) -> Tensor:
    """Spikes (b, t, n, h, d), with h, d and dtype of `grad_spikes`, from their bits."""
    batch, timesteps, tokens, num_bytes = bits.shape
    layout = SpikeLayout((batch, timesteps, tokens, 8 * num_bytes), (0, 1, 2, 3), grad_spikes.dtype)
    rows = spike_unpack(bits.flatten(), layout, backend="triton")
    features = grad_spikes.shape[3:]
    return rows[..., : features.numel()].reshape(batch, timesteps, tokens, *features)
