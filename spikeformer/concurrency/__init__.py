"""Work spread over workers: serving, encoding on several cores, distributed training."""

from spikeformer.concurrency.batching import Completed
from spikeformer.concurrency.encoding import parallel_spike_encoding
from spikeformer.concurrency.inference import AsyncSpikingInference
from spikeformer.concurrency.parallel_trainer import ParallelSpikingTrainer
from spikeformer.concurrency.replicas import Replica, make_replicas
from spikeformer.config import ConcurrencyConfig
from spikeformer.error_handling import ConcurrencyError

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
