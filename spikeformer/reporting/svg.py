"""Write figures as SVG that follows the reader's theme: in a page, or as files of their own."""

from __future__ import annotations

import io
import re
import warnings
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from spikeformer import figure_style as _style
from spikeformer.files import replacing, write_text

_THEME = {
    _style.INK: "var(--ink)",
    _style.MUTED: "var(--muted)",
    _style.LINE: "var(--line)",
    _style.TRACK: "var(--track)",
    _style.PANEL: "var(--raised)",
    _style.OTHER: "var(--other)",
    _style.BLUE: "var(--blue)",
    _style.ORANGE: "var(--orange)",
}
_NO_LAYOUT = {"figure.autolayout": False, "figure.constrained_layout.use": False}
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def inline(figure: Figure, name: str, alt: str) -> Markup:
    """Return the figure as an `<svg>` element.

    Args:
        figure: What `spikeformer.reporting.figures` drew.
        name: Unique within the page; it keeps the ids of two figures apart.
        alt: What a reader who cannot see the figure should know.
    """
    buffer = io.StringIO()
    _save(figure, buffer, "svg", fonttype="none", salt=name, background="none")
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    # Only tags are rewritten: what stands between them is text of the figure.
    text = re.sub(r"<[^>]+>", lambda tag: _adapt(tag.group(), name), text)
    view_box = re.search(r'viewBox="[^"]*"', text)
    assert view_box is not None  # matplotlib always writes one
    body = text[text.index(">") + 1 :]
    return Markup(
        f'<svg class="figure" {view_box.group()} xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'role="img" aria-label="{escape(alt)}">{body.strip()}'
    )


def _adapt(tag: str, name: str) -> str:
    tag = re.sub(r'\bid="', f'id="{name}-', tag)
    tag = re.sub(r'href="#', f'href="#{name}-', tag)
    tag = re.sub(r"url\(#", f"url(#{name}-", tag)
    # The page chooses the font, and draws the text smaller where it has room for a large figure.
    # Matplotlib writes one shorthand or two properties, depending on its version.
    tag = re.sub(r"\bfont: ([\d.]+px) [^;\"]*", r"font-size: \1", tag)
    tag = re.sub(r"\bfont-family: [^;\"]*;?", "", tag)
    tag = re.sub(r"\bfont-size: ([\d.]+px)", r"font-size: calc(\1 * var(--text))", tag)
    # A hundredth of a point is enough for a path, and makes a page of half the size.
    tag = re.sub(r'\bd="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path.group()), tag)
    return _with_variables(tag)


def save_themed(figure: Figure, path: Path) -> None:
    """Write a figure as an SVG file without a background, whose colours follow the reader's theme.

    Shown by `<img>` or by itself it is dark where the page around it, or the system, is.

    Args:
        figure: Drawn in the colours of `spikeformer.figure_style`.
        path: The file, which is replaced.

    Source: CSS Media Queries Level 5, `prefers-color-scheme`.
    """
    buffer = io.StringIO()
    _save(figure, buffer, "svg", fonttype="none", salt=path.stem, background="none")
    write_text(path, themed(buffer.getvalue()))


def themed(text: str) -> str:
    """Return an SVG file whose colours, those of `spikeformer.figure_style`, follow the theme.

    Black, which Matplotlib writes or leaves out, becomes the ink; white areas become clear.
    """
    text = re.sub(r"<[^>]+>", lambda tag: _with_variables(tag.group()), text)
    text = text.replace("stroke: #000000", "stroke: var(--ink)")
    text = re.sub(r"(<path [^>]*fill: )#ffffff", r"\1none", text)
    end = text.index(">", text.index("<svg")) + 1
    text = f"{text[:end]}\n <style>{_palettes()}</style>{text[end:]}"
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


@cache
def _palettes() -> str:
    """Return the variables of the page, light and dark, and the colour of what has none."""
    sheet = (files("spikeformer.reporting") / "templates" / "report.css").read_text()
    names = "|".join(variable[len("var(--") : -1] for variable in _THEME.values())
    light, dark = (
        " ".join(re.findall(rf"--(?:{names}): [^;]+;", block))
        for block in re.findall(r":root \{(.*?)\}", sheet, flags=re.DOTALL)[:2]
    )
    return (
        f":root {{ {light} }} @media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"
        " svg { fill: var(--ink) }"
    )


def _with_variables(tag: str) -> str:
    for colour, variable in _THEME.items():
        tag = tag.replace(colour, variable)
    return tag


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write `<name>.png` and `<name>.svg` on white, with the text of the SVG as outlines."""
    for kind in ("png", "svg"):
        with replacing(folder / f"{name}.{kind}") as path, path.open("wb") as file:
            _save(figure, file, kind, fonttype="path", salt=name)


def _save(
    figure: Figure, file: IO[Any], kind: str, *, fonttype: str, salt: str, background: str = "white"
) -> None:
    settings = {"svg.fonttype": fonttype, "svg.hashsalt": salt} | _NO_LAYOUT
    with mpl.rc_context(settings), warnings.catch_warnings():
        # A class name may use a script that matplotlib's font lacks; the browser has it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(
            file,
            format=kind,
            dpi=200,
            facecolor=background,
            metadata=_NO_METADATA if kind == "svg" else None,
        )
        # The first file settles the layout of the others. Beside an engine, even the one that does
        # nothing, Matplotlib draws every figure once more to let it work.
        figure.set_layout_engine(None)
