"""What a causal network keeps of the tokens so far, so that the next one costs one token's work."""

from __future__ import annotations

from typing import Self

from torch import Tensor

from spikeformer.error_handling import SpikingDynamicsError


class TokenMemory:
    """The state of a text that goes on: how many tokens came, and a sum for each attention layer.

    Attention without softmax is linear in the tokens it looks back on. Spike-driven attention
    counts coincidences of K and V, `c_n = c_{n-1} + k_n v_n`; SSA adds up their outer products,
    `S_n = S_{n-1} + k_n^T v_n`; QK token attention looks at no other token. So the sums of the
    tokens so far, at every timestep, stand for all of them: (batch, timesteps, heads, channels),
    for SSA with one more axis of channels. Sums of spikes are integers and exact in float32.

    Attributes:
        length: Tokens so far.

    Example:
        >>> import torch
        >>> from spikeformer.models import SpikingTransformer
        >>> net = SpikingTransformer(50, 16, 2, num_layers=1, timesteps=2, causal=True).eval()
        >>> memory, ids = TokenMemory(), torch.tensor([[3, 1, 4]])
        >>> first, second = net(ids[:, :2], memory=memory), net(ids[:, 2:], memory=memory)
        >>> torch.equal(torch.cat([first, second], dim=2), net(ids))
        True
    """

    def __init__(self) -> None:
        self.length = 0
        self._sums: list[Tensor | None] = []
        self._layer = 0

    def begin(self, num_tokens: int, max_length: int) -> int:
        """Begin a pass of some tokens; return the position of the first.

        Raises:
            SpikingDynamicsError: There is no position for the last one.
        """
        if self.length + num_tokens > max_length:
            raise SpikingDynamicsError(
                f"Expected at most max_length={max_length} tokens, but got {num_tokens} after"
                f" {self.length}. Build the model with a larger max_length, or begin a new text."
            )
        first, self._layer = self.length, 0
        self.length += num_tokens
        return first

    def read(self) -> Tensor | None:
        """Return the sum of the layer that comes next; None at the start of a text."""
        return self._sums[self._layer] if self._layer < len(self._sums) else None

    def write(self, total: Tensor | None) -> None:
        """Keep the sum of that layer, the new tokens included, and go on to the next layer."""
        if self._layer < len(self._sums):
            self._sums[self._layer] = total
        else:
            self._sums.append(total)
        self._layer += 1

    def copy(self) -> Self:
        """Return a memory from which another continuation can start."""
        other = type(self)()
        other.length, other._sums = self.length, list(self._sums)
        return other

    @property
    def num_bytes(self) -> int:
        """Memory that the sums take, the same for any number of tokens."""
        sums = [total for total in self._sums if total is not None]
        return sum(total.numel() * total.element_size() for total in sums)
