"""The look that all figures share: quiet axes, two strong colours, everything else grey.

The inks are exact hexadecimal values because the page swaps each of them for a CSS variable, which
lets one figure follow a light and a dark theme. Blue and vermilion stay apart for every common
form of colour blindness, and no figure relies on colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager, get_font
from matplotlib.legend import Legend
from matplotlib.ticker import FuncFormatter, MaxNLocator

from spikeformer.i18n import format_number, t, text_direction, use_locale

INK = "#1d2430"
MUTED = "#687082"
LINE = "#d8dce3"
TRACK = "#eceef2"
PANEL = "#f6f7f9"
OTHER = "#aab1bd"
BLUE = "#2b6cd4"
ORANGE = "#c75f10"

# A figure of this width in inches fills a phone's screen with text of a readable size in pt; the
# page draws the same text smaller where the figure is scaled up.
WIDTH = 4.5
SMALL, NORMAL = 9.5, 10.5

_PREFIXES = (
    "",
    "\N{NO-BREAK SPACE}k",
    "\N{NO-BREAK SPACE}M",
    "\N{NO-BREAK SPACE}G",
    "\N{NO-BREAK SPACE}T",
)


def new_figure(width: float = WIDTH, height: float = 2.7) -> Figure:
    """Return an empty white figure, sizes in inches."""
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def tidy(axes: Axes, grid: Literal["x", "y"] | None = "y") -> None:
    """Remove what carries no data from the axes."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.tick_params(colors=MUTED, labelsize=SMALL, length=0, pad=4)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")
    if grid is not None:
        axes.grid(axis=grid, color=LINE, linewidth=0.6)


def bare(axes: Axes) -> None:
    """Leave only the frameless drawing area."""
    axes.set_facecolor("none")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def title(axes: Axes, text: str, **kwargs: Any) -> None:
    """Write the title flush left; names come from users, so `$` starts no formula."""
    look = {"fontsize": NORMAL, "color": INK, "pad": 8, **kwargs}
    axes.set_title(text, loc="left", parse_math=False, **look)


def xlabel(axes: Axes, text: str) -> None:
    """Label the horizontal axis."""
    axes.set_xlabel(text, fontsize=SMALL, color=MUTED)


def ylabel(axes: Axes, text: str) -> None:
    """Label the vertical axis."""
    axes.set_ylabel(text, fontsize=SMALL, color=MUTED)


def words(key: str, /, **values: Any) -> str:
    """Return a message for a figure: in English where the figures' font cannot write the locale's.

    Matplotlib's own font has the letters of Latin scripts. It has none of Chinese and Japanese, and
    Matplotlib does not join and order Arabic ones; a font with more letters, chosen by
    `matplotlib.rcParams["font.family"]`, brings the former.
    """
    return drawable(t, key, **values)


def drawable(write: Callable[..., str], *args: Any, **kwargs: Any) -> str:
    """Return what `write` returns, in English where the figures' font cannot show the locale's."""
    if text_direction() == "ltr" and _letters() >= set(map(ord, text := write(*args, **kwargs))):
        return text
    with use_locale("en"):
        return write(*args, **kwargs)


def _letters() -> frozenset[int]:
    return _letters_of(fontManager.findfont(FontProperties()))


@cache
def _letters_of(font: str) -> frozenset[int]:
    return frozenset(get_font(font).get_charmap())


def integer_ticks(axis: Any) -> None:
    """Allow only integers as ticks, as epochs and timesteps need."""
    axis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def percent_ticks(axis: Any) -> None:
    """Label fractions in percent."""
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{format_number(100 * value, '.4g')} %")
    )


def plain_ticks(axis: Any) -> None:
    """Label numbers without matplotlib's offset and multiplier; 3 million are 3 M."""

    def plain(value: float, _: int) -> str:
        thousands = int(math.log10(abs(value)) // 3) if abs(value) >= 1e5 else 0
        thousands = min(thousands, len(_PREFIXES) - 1)
        number = format_number(value / 1000**thousands, ".5g").replace("-", "\N{MINUS SIGN}")
        return f"{number}{_PREFIXES[thousands]}"

    axis.set_major_formatter(FuncFormatter(plain))


def legend(
    axes: Axes,
    handles: Sequence[Any] | None = None,
    side: Literal["left", "right"] = "right",
    columns: int = 3,
) -> Legend:
    """Put a frameless legend above one end of the axes, by default level with the title.

    The layout takes no notice of it; a title gives it room.
    """
    box = axes.legend(
        **({} if handles is None else {"handles": handles}),
        loc=f"lower {side}",
        bbox_to_anchor=(1.0 if side == "right" else 0.0, 1.0),
        ncols=columns,
        frameon=False,
        fontsize=SMALL,
        labelcolor=MUTED,
        handlelength=1.3,
        handletextpad=0.5,
        columnspacing=1.0,
        borderaxespad=0.2,
        borderpad=0.4 if side == "right" else 0.0,
    )
    for text in box.get_texts():
        text.set_parse_math(False)
    box.set_in_layout(False)  # a long name must not squeeze the axes
    return box
