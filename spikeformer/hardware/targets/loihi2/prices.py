"""What Intel published about the energy of its chips' operations."""

from __future__ import annotations

from spikeformer.profiling import Chip, Cost, Range

_DAVIES = "Davies et al., IEEE Micro 2018, doi:10.1109/MM.2018.112130359, table 2, before silicon"
_NO_FIGURE = f"none published: that of Loihi 1 as an upper bound ({_DAVIES})"


def _loihi_update(low: float) -> Range:
    # An update costs 52 pJ where the neuron stays idle and 81 where it is active.
    return Range(low, 81.0, 81.0)


# Within its tile a spike costs 1.7 pJ; a hop to the next tile 3.0 to 4.0, of which the value takes
# one and the upper bound ten, across the whole mesh.
_LOIHI_HOPS = Range(1.7, 5.2, 41.7)

PRICES = {
    "loihi1": Chip(
        "loihi1",
        synaptic_operation=Cost(Range.exactly(23.6), _DAVIES),
        neuron_update=Cost(_loihi_update(52.0), _DAVIES),
        packet=Cost(_LOIHI_HOPS, _DAVIES),
    ),
    "loihi2": Chip(
        "loihi2",
        synaptic_operation=Cost(Range(0.0, 23.6, 23.6), _NO_FIGURE),
        neuron_update=Cost(_loihi_update(0.0), _NO_FIGURE),
        packet=Cost(Range(0.0, 5.2, 41.7), _NO_FIGURE),
    ),
}
"""Loihi 1 stands beside Loihi 2, for which nobody published figures."""
