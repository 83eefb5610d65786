"""The page as a browser shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spikeformer.reporting import build_report
from tests.browser import console, open_browser, overflow, show
from tests.reporting.synthetic import LAYERS, write_run

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_report(write_run(tmp_path_factory.mktemp("page") / "run"), save_figures=False)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as chromium:
        yield chromium


def paper(browser: Any) -> tuple[int, ...]:
    colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    return tuple(map(int, colour.removeprefix("rgb(").removesuffix(")").split(",")))


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_and_runs_without_errors(browser: Any, page: Path, width: int, dark: bool) -> None:
    show(browser, page, width=width, dark=dark)
    browser.execute_script("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    assert browser.execute_script("return window.innerWidth") == width
    assert overflow(browser) <= 0
    assert console(browser) == []
    assert (sum(paper(browser)) < 3 * 60) == dark


def test_nothing_is_loaded_from_elsewhere(browser: Any, page: Path) -> None:
    show(browser, page, width=1280)
    script = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    assert [name for name in browser.execute_script(script) if not name.startswith("data:")] == []


def test_tables_sort(browser: Any, page: Path) -> None:
    show(browser, page, width=360)
    buttons = browser.find_elements("css selector", "#layers th button")
    order = [layer.removeprefix("backbone.") for layer in LAYERS]
    assert column(browser, 0) == order

    buttons[1].click()
    rates = [float(text.rstrip(" %\N{NO-BREAK SPACE}")) for text in column(browser, 1)]
    assert rates == sorted(rates, reverse=True)
    assert overflow(browser) <= 0
    buttons[1].click()
    rates = [float(text.rstrip(" %\N{NO-BREAK SPACE}")) for text in column(browser, 1)]
    assert rates == sorted(rates)
    marked = browser.find_elements("css selector", "#layers [aria-sort]")
    assert [head.get_attribute("aria-sort") for head in marked] == ["ascending"]

    buttons[0].click()
    assert column(browser, 0) == order
    for button in buttons:
        button.click()
        assert overflow(browser) <= 0
    assert console(browser) == []


def column(browser: Any, index: int) -> list[str]:
    script = (
        "return [...document.querySelector('#layers tbody').rows]"
        ".map((row) => row.cells[arguments[0]].textContent.trim())"
    )
    return list(browser.execute_script(script, index))
