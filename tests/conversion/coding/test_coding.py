from __future__ import annotations

import pytest

from spikeformer.conversion import Coding
from spikeformer.error_handling import ArgumentError


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"encoding": "spikes"}, "spike_encoding"),
        ({"neuron_model": "AdEx"}, "neuron_model"),
        ({"levels": 0}, "levels"),
        ({"tau_mem": 0.0}, "tau_mem"),
    ],
)
def test_arguments_are_checked(arguments, name):
    with pytest.raises(ArgumentError, match=name):
        Coding(**arguments)
