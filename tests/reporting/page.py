"""The page of a run, as text."""

from __future__ import annotations

import re
from pathlib import Path

from markupsafe import Markup

from spikeformer.reporting import build_report


def report(folder: Path) -> str:
    return build_report(folder, save_figures=False).read_text(encoding="utf-8")


def words(page: str) -> str:
    """The text a reader sees."""
    page = re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.DOTALL)
    text = Markup(re.sub(r"<[^>]*>", "", page)).unescape()
    return " ".join(text.split())
