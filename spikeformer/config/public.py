"""The configuration dataclasses that Python users write by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from spikeformer.config.targets import registered
from spikeformer.error_handling import (
    check_choice,
    check_divisible,
    check_interval,
    check_positive,
    check_positive_int,
)


@registered
@dataclass
class SpikingConfig:
    """What a spiking model is made of; hand it to `SpikingTransformer.from_config`.

    Attributes:
        timesteps: Number of simulation timesteps.
        threshold: Spiking threshold.
        neuron_model: "LIF", "AdLIF", "PLIF" or "ILIF".
        spike_encoding: "direct", "rate", "poisson", "latency" or "delta"; "events" or "frames"
            for data with a time axis of their own.
        surrogate_gradient: A key of `spikeformer.ops.SURROGATES`.
        tau_mem: Membrane time constant in ms.
        tau_adp: Time constant of the adaptation current in ms, for "AdLIF".
        beta: Strength of the adaptation current, for "AdLIF".
        dropout: Probability of dropping an activation while training.
        layer_norm: Layer norm in the blocks; False is batch norm, which a chip can run.

    Raises:
        ArgumentError: A value lies outside its range.
    """

    timesteps: int = 32
    threshold: float = 1.0
    neuron_model: str = "LIF"
    spike_encoding: str = "rate"
    surrogate_gradient: str = "fast_sigmoid"
    tau_mem: float = 20.0
    tau_adp: float = 200.0
    beta: float = 0.1
    dropout: float = 0.1
    layer_norm: bool = True

    def __post_init__(self) -> None:
        check_positive_int("timesteps", self.timesteps)
        check_positive("threshold", self.threshold)
        check_positive("tau_mem", self.tau_mem)
        check_positive("tau_adp", self.tau_adp)
        check_interval("beta", self.beta, 0.0, math.inf)
        check_interval("dropout", self.dropout, 0.0, 1.0)


@registered
@dataclass
class FusionConfig:
    """How the modalities of a multimodal model are joined.

    Attributes:
        fusion_type: "cross_attention", "concat", "gated" or "late".
        shared_dim: Channels of the space in which modalities meet.
        num_heads: Number of attention heads; divides `shared_dim`.
        dropout: Probability of dropping an activation while training.
        temperature: Softness of the weighting between modalities; above 0.
        timesteps: Number of simulation timesteps.

    Raises:
        ArgumentError: A value lies outside its range.
    """

    fusion_type: str = "cross_attention"
    shared_dim: int = 512
    num_heads: int = 8
    dropout: float = 0.1
    temperature: float = 1.0
    timesteps: int = 32

    def __post_init__(self) -> None:
        check_choice("fusion_type", self.fusion_type, _FUSION_TYPES)
        check_divisible("shared_dim", self.shared_dim, "num_heads", self.num_heads)
        check_interval("dropout", self.dropout, 0.0, 1.0)
        check_positive("temperature", self.temperature)
        check_positive_int("timesteps", self.timesteps)


_FUSION_TYPES = ("cross_attention", "concat", "gated", "late")


@registered
@dataclass
class ConcurrencyConfig:
    """How work is spread over workers.

    Attributes:
        max_workers: Largest number of workers.
        batch_size_per_worker: Samples a worker takes at a time.
        enable_data_parallelism: Split batches over workers.
        enable_model_parallelism: Split the model over devices.
        async_data_loading: Load data in worker processes.
        prefetch_factor: Batches that each loading worker keeps ready.
        batch_timeout: Seconds that a batch may take; then its requests fail.

    Raises:
        ArgumentError: A value lies outside its range.
    """

    max_workers: int = 4
    batch_size_per_worker: int = 32
    enable_data_parallelism: bool = True
    enable_model_parallelism: bool = False
    async_data_loading: bool = True
    prefetch_factor: int = 2
    batch_timeout: float = field(default=300.0, kw_only=True)

    def __post_init__(self) -> None:
        check_positive_int("max_workers", self.max_workers)
        check_positive_int("batch_size_per_worker", self.batch_size_per_worker)
        check_positive_int("prefetch_factor", self.prefetch_factor)
        check_positive("batch_timeout", self.batch_timeout)
