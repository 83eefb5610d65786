"""How a converted network encodes a number as spikes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spikeformer.error_handling import (
    ArgumentError,
    check_choice,
    check_positive,
    check_positive_int,
)

LEVELS = 8
"""Sizes of spike that cover what one channel does in images and sentences."""

WIDE_LEVELS = 24
"""Levels for language models: some of their channels and tokens are a thousand times the others."""

FINE_MANTISSA = 1
"""Bits for language models, in which dozens of layers wait for each other's corrections."""

MAX_MANTISSA = 4
"""Most bits behind the leading one: spikes are to stay a few bits."""

ENCODINGS = ("rate", "radix", "binary")
NEURON_MODELS = ("LIF", "IF")
FUNCTIONS = ("exact", "spiking")


@dataclass(frozen=True)
class Coding:
    """What a neuron emits at each timestep, and what its receiver makes of it.

    | encoding | spikes of a timestep | what they add up to | timesteps |
    |---|---|---|---|
    | `rate` | one of `± θ 2^-i`, `i < levels`, or none | `Σ s_t / t` | 4 to 8 |
    | `rate`, `mantissa=b` | those, and `2^b - 1` sizes between each two | `Σ s_t / t` | 4 to 8 |
    | `radix` | `± θ 2^-(t-1)` or none | `Σ s_t`, signed binary digits | 8 |
    | `binary` | `± θ` or none | `Σ s_t / T`, the firing rate | 64 and more |

    Attributes:
        encoding: "rate", "radix" or "binary".
        neuron_model: "LIF" (what is not emitted leaks away by `exp(-1 ms / tau_mem)` at each
            timestep) or "IF" (it stays).
        levels: Sizes of spike that "rate" chooses from.
        tau_mem: Time constant of the leak in ms.
        mantissa: Bits of a spike's size behind its leading one, for "rate"; 0 sends powers of two.
            A spike is off by at most `1 / (2^(b + 1) + 1)` of what it stands for, a third without
            a mantissa and a fifth with one bit, so that less is left to later timesteps.
        functions: "exact" computes softmax, layer norm and GELU in floating point, "spiking" as
            sums and products of what groups of neurons send (`forms.py`).

    Raises:
        ArgumentError: A value lies outside its range.
    """

    encoding: str = "rate"
    neuron_model: str = "LIF"
    levels: int = LEVELS
    tau_mem: float = 100.0
    mantissa: int = 0
    functions: str = "exact"

    def __post_init__(self) -> None:
        check_choice("spike_encoding", self.encoding, ENCODINGS)
        check_choice("neuron_model", self.neuron_model, NEURON_MODELS)
        check_choice("functions", self.functions, FUNCTIONS)
        check_positive_int("levels", self.levels)
        check_positive("tau_mem", self.tau_mem)
        if isinstance(self.mantissa, bool) or not 0 <= self.mantissa <= MAX_MANTISSA:
            raise ArgumentError("mantissa", self.mantissa, f"an integer from 0 to {MAX_MANTISSA}")
        if self.mantissa and self.encoding != "rate":
            raise ArgumentError(
                "mantissa", self.mantissa, f'0 for spike_encoding="{self.encoding}"'
            )

    @property
    def leak(self) -> float:
        """Share of the remaining membrane that is lost at each timestep."""
        return 1.0 - math.exp(-1.0 / self.tau_mem) if self.neuron_model == "LIF" else 0.0

    @property
    def num_levels(self) -> int:
        """Sizes of spike that one timestep may choose from."""
        return self.levels if self.encoding == "rate" else 1

    @property
    def headroom(self) -> float:
        """How far above the largest activation of the calibration the largest level is to lie.

        Of the levels beyond `LEVELS` a quarter lies above what was seen, for other inputs, and the
        rest below it, for small values in a channel that is large at times. A factor of two is one
        level, which costs a spike no more than a share of a bit.
        """
        return 2.0 ** max(0.0, (self.num_levels - LEVELS) / 4)

    @property
    def firing_point(self) -> float:
        """Share of a level above which a neuron emits it.

        Halfway between a level and the next one below it; for binary spikes half of the only one,
        which makes the firing rate the nearest that T spikes can encode (QCFS, ICLR 2022). With a
        mantissa sizes are rounded to the nearest, and this is that of the smallest.
        """
        if self.mantissa:
            return 1.0
        return 0.5 if self.encoding == "binary" else 0.75

    def rounding(self, fraction: int = 23) -> tuple[int, int]:
        """What rounds a float to a spike's size, as its bits: a number to add, then a mask.

        Args:
            fraction: Bits of the float's fraction; 23 are those of float32.
        """
        kept = fraction - self.mantissa
        return (1 << (kept - 1) if self.mantissa else 0), -(1 << kept)
