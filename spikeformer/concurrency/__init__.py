"""Work spread over processes."""

from spikeformer.concurrency.parallel_trainer import ParallelSpikingTrainer

__all__ = ["ParallelSpikingTrainer"]
