"""Work spread over workers: inference for many callers, encoding, distributed training."""

from spikeformer.concurrency.encoding import parallel_spike_encoding
from spikeformer.concurrency.errors import ConcurrencyError
from spikeformer.concurrency.inference import AsyncSpikingInference, Completed
from spikeformer.concurrency.parallel_trainer import ParallelSpikingTrainer
from spikeformer.concurrency.replicas import Replica, make_replicas
from spikeformer.config import ConcurrencyConfig

__all__ = [
    "AsyncSpikingInference",
    "Completed",
    "ConcurrencyConfig",
    "ConcurrencyError",
    "ParallelSpikingTrainer",
    "Replica",
    "make_replicas",
    "parallel_spike_encoding",
]
