from __future__ import annotations

import pytest

from spikeformer import figure_style


@pytest.mark.parametrize("last", [1, 3, 17, 400])
def test_integer_ticks_are_integers_within_the_data(last):
    axes = figure_style.new_figure().add_subplot()
    axes.plot(range(last + 1), range(last + 1))
    figure_style.integer_ticks(axes.xaxis)
    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert ticks
    assert all(tick == int(tick) for tick in ticks)
    assert len(ticks) <= 8


def test_plain_ticks_have_neither_offset_nor_multiplier():
    axes = figure_style.new_figure().add_subplot()
    figure_style.plain_ticks(axes.yaxis)
    shown = axes.yaxis.get_major_formatter()
    assert [shown(value) for value in (-1.5, 0, 1e4)] == ["\N{MINUS SIGN}1.5", "0", "10000"]
    large = [shown(value) for value in (250_000, -3e6, 1.5e9, 2e13)]
    assert large == [
        "250\N{NO-BREAK SPACE}k",
        "\N{MINUS SIGN}3\N{NO-BREAK SPACE}M",
        "1.5\N{NO-BREAK SPACE}G",
        "20\N{NO-BREAK SPACE}T",
    ]


def test_title_and_legend_draw_a_dollar_as_it_is():
    figure = figure_style.new_figure()
    axes = figure.add_subplot()
    axes.plot([0, 1], label="$x_1$")
    figure_style.title(axes, "$y^2$")
    legend = figure_style.legend(axes)
    texts = [axes.title, axes._left_title, *legend.get_texts()]
    assert not any(text.get_parse_math() for text in texts if text.get_text())
    figure.canvas.draw()
    assert {text.get_text() for text in texts} >= {"$y^2$", "$x_1$"}


def test_tidy_and_bare_leave_no_frame():
    figure = figure_style.new_figure()
    tidied, bared = figure.subplots(1, 2)
    figure_style.tidy(tidied)
    figure_style.bare(bared)
    visible = {name for name, spine in tidied.spines.items() if spine.get_visible()}
    assert visible == {"bottom"}
    assert not any(spine.get_visible() for spine in bared.spines.values())
    assert (len(bared.get_xticks()), len(bared.get_yticks())) == (0, 0)
