from __future__ import annotations

import pytest
from msgspec.structs import replace as changed

from spikeformer.hardware.targets.spinnaker.boards import BOARDS, MappedCore, placement_of
from tests.hardware.networks import two_layers

LIMITS = BOARDS["spin1-48chip"].limits
CORES = [
    MappedCore("in", 0, 4, (0, 0), 1, 10),
    MappedCore("one", 3, 2, (1, 0), 2, 30),
    MappedCore("one", 0, 3, (0, 0), 2, 20),
    MappedCore("two", 0, 3, (1, 0), 3, 40),
]


def test_placement_of_counts_synapses_and_numbers_the_chips():
    placement = placement_of(CORES, two_layers(), LIMITS)
    found = [(c.population, c.first, c.neurons, c.chip, c.synapses) for c in placement.cores]
    # Four inputs to each of "one"; four inputs and five neurons to each of "two".
    assert found == [("one", 0, 3, 0, 12), ("one", 3, 2, 1, 8), ("two", 0, 3, 1, 27)]
    assert (placement.num_chips, placement.num_cores) == (2, 3)


@pytest.mark.parametrize(
    "cores",
    [
        CORES[:-1],
        [*CORES, CORES[-1]],
        [*CORES[:2], changed(CORES[2], neurons=4), CORES[3]],
        [*CORES[:3], changed(CORES[3], first=10**9)],
    ],
)
def test_placement_of_refuses_neurons_that_are_not_placed_once(cores):
    with pytest.raises(ValueError, match="not each placed once"):
        placement_of(cores, two_layers(), LIMITS)
