"""A figure in the page: its text, its colours and its ids."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

from spikeformer import figure_style
from spikeformer.reporting.svg import inline, save, save_themed


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


def test_a_file_of_its_own_follows_the_reader_s_theme(figure, tmp_path):
    save_themed(figure, tmp_path / "curve.svg")
    text = (tmp_path / "curve.svg").read_text()
    root = ElementTree.fromstring(text)
    sheet = root.find("{http://www.w3.org/2000/svg}style").text
    light, dark = (
        dict(re.findall(r"--(\w+): (#\w+);", part)) for part in sheet.split("prefers-color-scheme")
    )
    assert light.keys() == dark.keys()
    assert {"ink", "muted", "line", "blue", "orange"} <= light.keys()
    # Ink on the page's paper and on the site's, light and dark: enough contrast for text.
    for paper, palette in (("#ffffff", light), ("#12151b", dark), ("#1e2129", dark)):
        assert min(contrast(paper, palette[name]) for name in ("ink", "muted", "blue")) > 4.5
    drawing = text.replace(sheet, "")
    assert "stroke: var(--blue)" in drawing
    tags = "".join(re.findall(r"<[^>]+>", drawing))
    assert not re.search(r"#(?!\w*[-_])[0-9a-f]{6}\b", tags)  # nothing has a colour of its own
    assert figure_style.ORANGE in drawing  # but what stands between the tags stays
    save_themed(figure, tmp_path / "curve.svg")
    assert (tmp_path / "curve.svg").read_text() == text


def contrast(one, other):
    """The contrast ratio of WCAG 2.2."""

    def luminance(colour):
        parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
