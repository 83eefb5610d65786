from __future__ import annotations

import pytest

from spikeformer.error_handling import ArgumentError
from spikeformer.reporting.figures import plot_plan


def test_layers_keep_their_order_and_heights():
    above, below = plot_plan([0.25, 3.0, 1.0], [10.0, 0.0, 5e6]).axes
    assert [bar.get_height() for bar in above.patches] == [0.25, 3.0, 1.0]
    assert [bar.get_height() for bar in below.patches] == [10.0, 0.0, 5e6]
    assert [bar.get_x() + bar.get_width() / 2 for bar in below.patches] == [1, 2, 3]


@pytest.mark.parametrize(("chips", "crossing"), [([], []), ([1.0], [1.0, 2.0])])
def test_what_does_not_belong_together_is_refused(chips, crossing):
    with pytest.raises(ArgumentError, match="one number for each layer"):
        plot_plan(chips, crossing)
