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
        ({"mantissa": -1}, "mantissa"),
        ({"mantissa": 9}, "mantissa"),
        ({"mantissa": 1, "encoding": "radix"}, "mantissa"),
    ],
)
def test_arguments_are_checked(arguments, name):
    with pytest.raises(ArgumentError, match=name):
        Coding(**arguments)


@pytest.mark.parametrize(("levels", "headroom"), [(3, 1.0), (8, 1.0), (12, 2.0), (24, 16.0)])
def test_levels_beyond_eight_leave_headroom(levels, headroom):
    assert Coding(levels=levels).headroom == headroom
    assert Coding("radix", levels=levels).headroom == 1.0
