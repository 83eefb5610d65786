"""A figure in the page: its text, its colours and its ids."""

from __future__ import annotations

import re

import matplotlib as mpl
import pytest

from spikeformer import figure_style
from spikeformer.reporting.svg import inline, save


@pytest.fixture
def figure():
    drawn = figure_style.new_figure()
    axes = drawn.add_subplot()
    axes.plot([0, 1], [0, 1], color=figure_style.BLUE, clip_on=True)
    axes.set_title(f'a <b> & id="x" {figure_style.ORANGE}')
    return drawn


def test_inline_svg_is_labelled_for_who_cannot_see_it(figure):
    markup = inline(figure, "curve", 'Loss "falls" & <stays>')
    assert markup.startswith('<svg class="figure" viewBox="')
    assert 'role="img" aria-label="Loss &#34;falls&#34; &amp; &lt;stays&gt;"' in markup
    assert markup.endswith("</svg>")


def test_inline_svg_takes_colours_and_fonts_of_the_page(figure):
    markup = inline(figure, "curve", "A curve")
    assert "stroke: var(--blue)" in markup
    assert figure_style.BLUE not in markup
    assert "font-family" not in markup
    assert "calc(" in markup
    # What stands between the tags is the figure's text, and stays.
    assert f'a &lt;b&gt; &amp; id="x" {figure_style.ORANGE}' in markup


def test_inline_svgs_of_two_names_share_no_id(figure):
    def ids(markup):
        return set(re.findall(r'\bid="([^"]*)"', re.sub(r">[^<]*<", "><", markup)))

    one, other = (inline(figure, name, "A curve") for name in ("one", "other"))
    assert ids(one)
    assert all(name.startswith("one-") for name in ids(one))
    assert not ids(one) & ids(other)
    referred = set(re.findall(r'(?:href="|url\()#([^")]*)', one))
    assert referred <= ids(one)


def test_save_writes_the_same_bytes_again(figure, tmp_path):
    settings = dict(mpl.rcParams)
    save(figure, tmp_path, "curve")
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(first) == {"curve.png", "curve.svg"}
    assert b"<text" not in first["curve.svg"]  # outlines: no font is needed to see it
    save(figure, tmp_path, "curve")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
    assert dict(mpl.rcParams) == settings
