"""A spike graph in the whole numbers of Loihi 2: what is compiled for it, and what it computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikeformer.hardware.ir.graph import Array, Arrays, SpikeGraph

WEIGHT_SHIFT = 6
"""Bits by which a summed weight is shifted up before it meets the membrane; thresholds too."""
DECAY_ONE = 4096
"""Decays are counted in parts of this."""
MAX_DV = DECAY_ONE - 1
"""Largest decay: of a membrane one part in 4096 stays, which rounds to nothing below one weight."""
MAX_VTH = 131071
"""Largest threshold, of 17 bits."""
STATE_LIMIT = 2**23 - 1
"""Largest absolute value of a membrane, of 24 bits."""
BIAS_LIMIT = 4095
"""Largest absolute mantissa of a bias, of 13 bits."""
MAX_BIAS_EXP = 7
"""Largest exponent of a bias."""


@dataclass(frozen=True)
class IntegerNeurons:
    """Integer parameters of a population; its dynamics are those of a compartment of Loihi 2.

    With `trunc` rounding towards zero and the current memoryless (Loihi's du = 4095)::

        v = clip(trunc(v * (4096 - dv) / 4096) + (sum_p W_p s_p << 6) + (bias_mant << bias_exp))
        s = v > vth << 6,   v = 0 where it fired

    Attributes:
        dv: Decay, 0 (none) to 4095.
        vth: Threshold, 0 to 131071; strictly more makes a neuron fire.
        bias_exp: Exponent of every bias, 0 to 7. It is 6 where a current comes with the sample,
            which is the unit of the weights.
        scale: Units of the weights that stand for 1 in the network.
    """

    dv: int
    vth: int
    bias_exp: int
    scale: float


@dataclass(frozen=True, eq=False)
class IntegerGraph:
    """A spike graph whose weights are whole numbers.

    Attributes:
        graph: The populations and projections. The operators of `graph.synapses` hold int32, -255
            to 255: a chip keeps synapses of either sign apart, so that each has 8 bits. `decay`,
            `threshold` and `bias` of its populations, and what "values" send, are still in the
            network's units: `neurons` and `currents` have the integers.
        neurons: Parameters of the populations of kind "lif".
    """

    graph: SpikeGraph
    neurons: Mapping[str, IntegerNeurons]

    def currents(self, inputs: Arrays) -> dict[str, Array]:
        """Return each neuron's `bias_mant`, int32 (samples, size), where there is any.

        Mantissas stop at plus and minus 4095: a current beyond is many thresholds a step.

        Args:
            inputs: Arrays of the graph's sources.
        """
        found: dict[str, Array] = {}
        for name, current in self.graph.currents(inputs).items():
            neurons = self.neurons[name]
            unit = 2.0 ** (WEIGHT_SHIFT - neurons.bias_exp)
            mantissa = np.rint(current * neurons.scale * unit)
            found[name] = np.clip(mantissa, -BIAS_LIMIT, BIAS_LIMIT).astype(np.int32)
        return found
