"""Schemas of the `conversion` group: converter and conversion pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field

from spikeformer.config.schema.register import schema


@dataclass
class ConverterConfig:
    """`spikeformer.conversion.SpikeformerConverter`."""

    _target_: str = "spikeformer.conversion.SpikeformerConverter"
    timesteps: int = 32
    threshold: float = 1.0
    spike_encoding: str = "rate"
    neuron_model: str = "LIF"
    levels: int | None = None
    mantissa: int | None = None
    tau_mem: float = 100.0
    functions: str = "exact"
    strict: bool = True


@schema("conversion", "conversion")
@dataclass
class ConversionConfig:
    """`spikeformer.conversion.ConversionPipeline`, which gets its data from the run."""

    _target_: str = "spikeformer.conversion.ConversionPipeline"
    _partial_: bool = True
    conversion_mode: str = "layer_wise"
    optimization_target: str = "accuracy"
    converter: ConverterConfig = field(default_factory=ConverterConfig)
    quantile: float | None = None
    learning_rate: float = 1e-5
    evaluation_samples: int = 256
    progress: bool = True
