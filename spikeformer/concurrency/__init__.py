"""Work spread over workers: batched inference for many callers, encoding on several cores."""

from spikeformer.concurrency.encoding import parallel_spike_encoding
from spikeformer.concurrency.errors import ConcurrencyError
from spikeformer.concurrency.inference import AsyncSpikingInference, Completed
from spikeformer.concurrency.replicas import Replica, make_replicas
from spikeformer.config import ConcurrencyConfig

__all__ = [
    "AsyncSpikingInference",
    "Completed",
    "ConcurrencyConfig",
    "ConcurrencyError",
    "Replica",
    "make_replicas",
    "parallel_spike_encoding",
]
