"""What a chip holds, by its makers' publications."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ChipLimits:
    """What fits on a core and on a chip.

    Attributes:
        name: The chip.
        cores_per_chip: Cores that hold neurons.
        neurons_per_core: Most neurons of a core.
        synapse_bytes_per_core: Memory of a core for weights.
        bytes_per_weight: Memory of one weight.
        max_delay: Longest delay of a projection, in steps; None if any can be bridged.
        source: Where the numbers are from.
    """

    name: str
    cores_per_chip: int
    neurons_per_core: int
    synapse_bytes_per_core: int
    bytes_per_weight: int
    max_delay: int | None
    source: str


LOIHI2 = ChipLimits(
    name="Loihi 2",
    cores_per_chip=128,
    neurons_per_core=8192,
    # Of 192 KB in a core that synapses, neurons and tables share; Loihi had 128 KB for synapses.
    synapse_bytes_per_core=128 * 1024,
    # 8 bits. The formats that share kernels or pack indices are not modelled.
    bytes_per_weight=1,
    # Of lava-nc's DelayDense, 63 and one for the connection itself.
    max_delay=64,
    source=(
        "Intel Labs, Taking Neuromorphic Computing to the Next Level with Loihi 2, technology "
        "brief, 2021; synaptic memory as in Davies et al., 2018, doi:10.1109/MM.2018.112130359"
    ),
)
