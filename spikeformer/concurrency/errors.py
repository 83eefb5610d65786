"""What can go wrong with work that is spread over workers."""

from __future__ import annotations

from spikeformer.error_handling import SpikeformerError


class ConcurrencyError(SpikeformerError):
    """A request is unknown, was cancelled, or came after the end; or workers cannot be had."""
