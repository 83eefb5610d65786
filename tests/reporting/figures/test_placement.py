from __future__ import annotations

import pytest

from spikeformer.error_handling import ArgumentError
from spikeformer.reporting.figures import plot_placement
from spikeformer.reporting.figures.placement import MAX_CHIPS


def core(number: int, population: str = "stem", used: float = 0.5, chip: int = 0) -> dict:
    return {"chip": chip, "core": number, "population": population, "used": used}


def squares(figure: object, panel: int = 0) -> list[list]:
    """The squares of each collection: all cores, then those of either colour."""
    return [collection.get_paths() for collection in figure.axes[panel].collections]


def test_every_core_is_a_square_and_those_in_use_are_filled() -> None:
    cores = [core(0), core(1), core(2, "block")]
    every, blue, orange = squares(plot_placement(cores, 8, 1.0))
    assert (len(every), len(blue), len(orange)) == (8, 2, 1)


def test_filled_as_far_as_the_memory_is() -> None:
    figure = plot_placement([core(0, used=1.0), core(1, used=0.5), core(2, used=0.0)], 8, 1.0)
    heights = [path.get_extents().height for path in squares(figure)[1]]
    assert heights[1] == pytest.approx(heights[0] / 2)
    assert 0 < heights[2] < heights[1]


def test_chips_have_a_panel_each_up_to_a_number() -> None:
    few = plot_placement([core(0, chip=0), core(0, chip=1), core(0, chip=2)], 4, 1.0)
    titles = [axes.get_title(loc="left") for axes in few.axes if axes.get_visible()]
    assert titles == [f"Chip {chip}: 1 of 4 cores" for chip in range(3)]
    many = plot_placement([core(0, chip=chip) for chip in range(40)], 4, 1.0)
    assert sum(axes.get_visible() for axes in many.axes) == MAX_CHIPS


def test_nothing_placed_is_refused() -> None:
    with pytest.raises(ArgumentError, match="at least one core"):
        plot_placement([], 4, 1.0)
