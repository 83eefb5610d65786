"""Spike codes in plain torch: the definition that every kernel is tested against.

Axes as suffixes: b batch, t timesteps, f features. The time axis of `x_btf` may have length 1: a
value that is held for all timesteps. Codes compute in float32, whatever the dtype of `x_btf`.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Philox-4x32: two multipliers, and what is added to the two words of the key after each round.
PHILOX_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
PHILOX_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
PHILOX_ROUNDS = 10
_WORD = 0xFFFFFFFF

Words = tuple[Tensor, Tensor, Tensor, Tensor]


def spike_encode_reference(
    x_btf: Tensor, timesteps: int, code: str, parameter: float, key: Tensor | None
) -> Tensor:
    """Spikes (b, t, f) in the dtype of `x_btf`, by the equations of `spike_encode`.

    Args:
        x_btf: Values, with a time axis of length 1 or `timesteps`.
        timesteps: Length of the spike trains.
        code: "rate", "poisson", "latency" or "delta".
        parameter: `max_probability` of "poisson" or `threshold` of "delta".
        key: Seed and stream of "poisson", int64.
    """
    x = x_btf.float()
    if code == "rate":
        spikes = _rate(x, timesteps)
    elif code == "latency":
        spikes = _latency(x, timesteps)
    elif code == "delta":
        spikes = _delta(x, timesteps, parameter)
    else:
        assert key is not None
        spikes = uniform(key, (x.shape[0], timesteps, x.shape[2])) < x * parameter
    return spikes.to(x_btf.dtype)


def _rate(x: Tensor, timesteps: int) -> Tensor:
    edges = torch.arange(timesteps + 1, device=x.device, dtype=x.dtype).view(1, -1, 1)
    return torch.floor(x * edges + 0.5).diff(dim=1)


def _latency(x: Tensor, timesteps: int) -> Tensor:
    step = torch.round((1 - x) * (timesteps - 1))
    time = torch.arange(timesteps, device=x.device).view(1, -1, 1)
    return (time == step) & (x > 0)


def _delta(x: Tensor, timesteps: int, threshold: float) -> Tensor:
    tracker = torch.zeros_like(x[:, 0])
    spikes_t = []
    for x_bf in x.expand(-1, timesteps, -1).unbind(1):
        lag = x_bf - tracker
        spikes_bf = torch.where(lag.abs() >= threshold, lag.sign(), 0.0)
        tracker = tracker + threshold * spikes_bf
        spikes_t.append(spikes_bf)
    return torch.stack(spikes_t, dim=1)


def uniform(key: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Random numbers in [0, 1) of 24 bits each, shape (b, t, f).

    The counter is (feature, timestep // 4, sample, stream); its four words serve four timesteps.
    A number thus depends on its place alone, not on the size of the tensor around it.

    Args:
        key: Seed and stream, int64.
        shape: Batch, timesteps and features.

    Source: Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, 2011,
    doi:10.1145/2063384.2063405.
    """
    batch, timesteps, features = shape
    quads = -(-timesteps // 4)
    sample, quad, feature = (torch.arange(n, device=key.device) for n in (batch, quads, features))
    counter = (feature, quad.view(-1, 1), sample.view(-1, 1, 1), key[1] & _WORD)
    words = torch.stack(philox(counter, key[0]), dim=2)  # (batch, quads, 4, features)
    return (words.flatten(1, 2)[:, :timesteps] >> 8).float() * 2.0**-24


def philox(counter: Words, seed: Tensor) -> Words:
    """Philox-4x32-10: four random words for a counter of four words and a seed of 64 bits.

    Words are unsigned integers of 32 bits in int64. Products wrap around in int64, which keeps
    their lower 64 bits, all that is needed.

    Args:
        counter: Four words, tensors that broadcast against each other.
        seed: Both words of the key in one int64, the lower bits first.
    """
    c0, c1, c2, c3 = counter
    keys = [seed & _WORD, (seed >> 32) & _WORD]
    for _ in range(PHILOX_ROUNDS):
        even, odd = c0 * PHILOX_MULTIPLIERS[0], c2 * PHILOX_MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            ((odd >> 32) & _WORD) ^ c1 ^ keys[0],
            odd & _WORD,
            ((even >> 32) & _WORD) ^ c3 ^ keys[1],
            even & _WORD,
        )
        keys = [(k + step) & _WORD for k, step in zip(keys, PHILOX_KEY_STEPS, strict=True)]
    return c0, c1, c2, c3
