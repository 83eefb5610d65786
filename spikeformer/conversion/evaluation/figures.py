"""What `evaluate_conversion` measured."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class StepFigures:
    """What holds if the output is read after a timestep.

    Attributes:
        timesteps: The timestep.
        accuracy: Share of samples whose class is right; None without targets or classes.
        agreement: Share of samples with the original's class; None without classes.
        error: Relative error of the output, `|r_t - y| / |y|`, mean over samples.
        events_per_neuron: Events of a neuron for one sample so far.
        energy_uj: Modelled energy of a sample so far: the estimate with its bounds, in µJ.
        perplexity: Of a language model, `exp(mean -ln p)` of the tokens that came.
        divergence: Of a language model, Kullback-Leibler divergence from the original's
            probabilities to these, in nats, mean over tokens.
    """

    timesteps: int
    accuracy: float | None = None
    agreement: float | None = None
    error: float | None = None
    events_per_neuron: float | None = None
    energy_uj: tuple[float, float, float] | None = None
    perplexity: float | None = None
    divergence: float | None = None


@dataclass
class Evaluation:
    """What `evaluate_conversion` measured; what was not asked for is None.

    A sample of a language model is a token that it predicts.

    Attributes:
        num_samples: Samples measured on.
        steps: Figures by timestep at which the output is read; the last is the network's own.
        original_accuracy: Accuracy of the original.
        retention: Accuracy of the spiking network in parts of the original's.
        sparsity: Share of neurons and timesteps without an event.
        rates: Events per neuron and timestep by site.
        original_energy_uj: Modelled energy of a sample in the original, low, value and high.
        floating_evaluations: Values per sample for which LayerNorm, softmax, GELU and the like
            are computed in floating point; they are in neither energy.
        seconds: Wall-clock time per sample of the spiking network on this machine.
        original_seconds: Likewise of the original.
        exit_timesteps: Mean timestep at which samples leave, if the network exits early.
        exit_accuracy: Accuracy with early exit.
        exit_agreement: Agreement with early exit.
        original_perplexity: Perplexity of the original.
        num_bytes: Bytes of the text that was predicted.
    """

    num_samples: int
    steps: list[StepFigures]
    original_accuracy: float | None = None
    retention: float | None = None
    sparsity: float | None = None
    rates: dict[str, float] = field(default_factory=dict)
    original_energy_uj: tuple[float, float, float] | None = None
    floating_evaluations: float | None = None
    seconds: float | None = None
    original_seconds: float | None = None
    exit_timesteps: float | None = None
    exit_accuracy: float | None = None
    exit_agreement: float | None = None
    original_perplexity: float | None = None
    num_bytes: int | None = None

    def bits_per_byte(self, perplexity: float | None) -> float | None:
        """Return a perplexity per token as bits per byte of text, whatever the tokenizer."""
        if perplexity is None or not self.num_bytes:
            return None
        return math.log2(perplexity) * self.num_samples / self.num_bytes

    @property
    def last(self) -> StepFigures:
        """Figures after the last timestep."""
        return self.steps[-1]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)
