"""A spike graph in a chip's integers: what is compiled for it, and what it computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from spikeformer.hardware.ir.graph import Array, Arrays, SpikeGraph


@dataclass(frozen=True)
class NumberFormat:
    """The integers that a chip computes with; all limits are absolute values, included.

    Attributes:
        max_weight: Largest weight; those of either sign lie apart.
        weight_shift: Bits by which summed weights and thresholds are shifted up to the membrane.
        decay_one: Decays are counted in parts of this; the largest is one less.
        max_threshold: Largest threshold.
        max_state: Largest membrane.
        max_bias: Largest mantissa of a bias.
        max_bias_exp: Largest exponent of a bias.
        threshold_of_values: Threshold of neurons that get values alone, whose currents have the
            bits of a bias and not those of a weight.
    """

    max_weight: int = 255
    weight_shift: int = 6
    decay_one: int = 4096
    max_threshold: int = 2**17 - 1
    max_state: int = 2**23 - 1
    max_bias: int = 2**12 - 1
    max_bias_exp: int = 7
    threshold_of_values: int = 1024


@dataclass(frozen=True)
class IntegerNeurons:
    """Integer parameters of a population.

    With `trunc` rounding towards zero, and for example `weight_shift` 6 and `decay_one` 4096::

        v = clip(trunc(v * (4096 - dv) / 4096) + (sum_p W_p s_p << 6) + (bias_mant << bias_exp))
        s = v > vth << 6,   v = 0 where it fired

    Where currents last, what is added to `v` is the current, which wraps around at either end of
    the state's range::

        i = wrap(trunc(i * (4095 - du) / 4096) + (sum_p W_p s_p << 6) + (bias_mant << bias_exp))

    With the rule "count" it is n of 0 to `levels` that is nearest to `v / (vth << 6)`, ties to the
    even number, and `v = v - n (vth << 6)`; with "minimum" `v` are two packed counts.

    Attributes:
        dv: Decay; 0 is none.
        vth: Threshold; strictly more makes a neuron fire, a multiple is a count; 0 for "minimum".
        bias_exp: Exponent of every bias. It is `weight_shift` where a current comes with the
            sample, which is the unit of the weights.
        scale: Units of the weights that stand for 1 in the network.
        du: Decay of the current; None where it lasts one step.
    """

    dv: int
    vth: int
    bias_exp: int
    scale: float
    du: int | None = None


@dataclass(frozen=True, eq=False)
class IntegerGraph:
    """A spike graph whose weights are integers.

    Attributes:
        graph: The populations and projections. The operators of `graph.synapses` hold int32.
            `decay`, `threshold` and `bias` of its populations, and what "values" send, are still in
            the network's units: `neurons` and `currents` have the integers.
        neurons: Parameters of the populations of kind "lif".
        format: The ranges of all these numbers.
    """

    graph: SpikeGraph
    neurons: Mapping[str, IntegerNeurons]
    format: NumberFormat = field(default_factory=NumberFormat)

    def currents(self, inputs: Arrays) -> dict[str, Array]:
        """Return each neuron's `bias_mant`, int32 (samples, size), where there is any.

        Mantissas stop at plus and minus `max_bias`: a current beyond is many thresholds a step.
        `simulate_integers` counts how many do.

        Args:
            inputs: Arrays of the graph's sources.
        """
        most = self.format.max_bias
        return {
            name: np.clip(mantissa, -most, most).astype(np.int32)
            for name, mantissa in self.mantissas(inputs).items()
        }

    def mantissas(self, inputs: Arrays) -> dict[str, Array]:
        """Return what `currents` would be if mantissas had no end, float64."""
        found: dict[str, Array] = {}
        for name, current in self.graph.currents(inputs).items():
            neurons = self.neurons[name]
            unit = 2.0 ** (self.format.weight_shift - neurons.bias_exp)
            found[name] = np.rint(current * neurons.scale * unit)
        return found
