"""The page that compares runs, as a browser shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spikeformer.reporting import build_dashboard
from tests.browser import console, open_browser, overflow, show

pytestmark = pytest.mark.browser
pytest.importorskip("plotly", reason="the extra dashboard is not installed")

# (name, neuron, weight decay, accuracy, energy, status)
RUNS = [
    ("a", "lif", 0.1, 0.9, 100.0, "done"),
    ("b", "lif", 0.2, 0.8, 50.0, "done"),
    ("c", "plif", 0.4, 0.95, 200.0, "done"),
    ("d", "plif", 0.8, 0.5, 10.0, "done"),
    ("<e>", "plif", 0.9, None, None, "failed"),
]


def write(
    root: Path, name: str, neuron: str, decay: float, accuracy: Any, energy: Any, status: str
):
    folder = root / name.strip("<>")
    folder.mkdir(parents=True)
    stages: dict[str, Any] = {"fit": {"status": status, "result": {}, "error": "out of <memory>"}}
    if accuracy is not None:
        stages["test"] = {"status": "done", "result": {"accuracy": accuracy, "firing_rate": 0.1}}
        names = ("energy_per_sample_uj", "energy_per_sample_low_uj", "energy_per_sample_high_uj")
        result = dict(zip(names, (energy, energy / 2, energy * 2), strict=True))
        stages["profile"] = {"status": "done", "result": result}
    manifest = {"name": name, "created": f"2026-01-01T00:00:0{len(name)}", "stages": stages}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "config.yaml").write_text(
        f"neuron: {{_target_: spikeformer.{neuron}}}\noptimizer: {{weight_decay: {decay}}}\n"
    )
    (folder / "overrides.yaml").write_text(f"- optimizer.weight_decay={decay}\n")
    (folder / "metrics.csv").write_text("epoch,val/firing_rate,val/accuracy\n0,.2,.5\n1,.1,.7\n")
    (folder / "report.html").write_text("<!doctype html><title>report</title>")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dashboard") / "out puts"
    for run in RUNS:
        write(root, *run)
    (root / "broken").mkdir()
    (root / "broken" / "manifest.json").write_text("{half")
    return build_dashboard(root)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    # The parallel coordinates are drawn with WebGL, here without a graphics card.
    with open_browser("--enable-unsafe-swiftshader") as browser:
        yield browser


@pytest.fixture
def browser(chromium: Any, page: Path) -> Any:
    show(chromium, page, width=1280)
    wait(chromium, "return document.documentElement.dataset.ready === 'true'")
    yield chromium
    assert [line for line in console(chromium) if "GL Driver Message" not in line] == []


def wait(browser: Any, condition: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 20).until(lambda found: found.execute_script(condition))


def shown(browser: Any) -> list[str]:
    script = (
        "return [...document.querySelectorAll('#runs tbody tr:not([hidden])')]"
        ".map((row) => row.cells[0].dataset.value)"
    )
    return list(browser.execute_script(script))


def test_it_says_what_there_is(browser: Any) -> None:
    assert sorted(shown(browser)) == ["<e>", "a", "b", "c", "d"]
    assert browser.find_element("id", "count").text == "5 of 5 runs"
    assert "broken" in browser.find_element("id", "broken").text
    failed = browser.find_element("css selector", "#runs td.failed")
    assert failed.get_attribute("title") == "fit: out of <memory>"
    link = browser.find_element("link text", "a").get_attribute("href")
    assert link.endswith("out%20puts/a/report.html")


@pytest.mark.parametrize(("width", "dark"), [(360, False), (1280, True)])
def test_it_fits_and_needs_nothing_from_elsewhere(
    chromium: Any, page: Path, width: int, dark: bool
) -> None:
    show(chromium, page, width=width, dark=dark)
    wait(chromium, "return document.documentElement.dataset.ready === 'true'")
    assert overflow(chromium) <= 0
    script = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    loaded = chromium.execute_script(script)
    assert [name for name in loaded if not name.startswith(("data:", "blob:"))] == []


def test_the_table_sorts_numbers_and_texts(browser: Any) -> None:
    buttons = {b.text: b for b in browser.find_elements("css selector", "#runs th button")}
    buttons["Test accuracy"].click()
    assert shown(browser) == ["c", "a", "b", "d", "<e>"]
    buttons["run"].click()
    assert shown(browser) == ["<e>", "a", "b", "c", "d"]


def test_the_search_reaches_every_view(browser: Any) -> None:
    browser.find_element("id", "search").send_keys("neuron=plif done")
    assert sorted(shown(browser)) == ["c", "d"]
    points = browser.execute_script(
        "return document.getElementById('energy').data.map((t) => [t.name, t.selectedpoints])"
    )
    assert dict(points) == {"plif": [0, 1], "lif": []}
    lines = browser.execute_script(
        "return document.getElementById('rates').data.map((t) => [t.name, t.opacity])"
    )
    assert {name[0] for name, opacity in lines if opacity == 1} == {"c", "d"}
    colours = browser.execute_script(
        "return document.getElementById('parallel').data[0].line.color"
    )
    assert sorted(colours) == [0, 0, 1, 1]
    browser.find_element("id", "reset").click()
    wait(browser, "return document.getElementById('count').textContent === '5 of 5 runs'")


def test_brushing_the_scatter_filters_the_table(browser: Any) -> None:
    from selenium.webdriver import ActionChains

    area = browser.find_element("css selector", "#energy .nsewdrag")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", area)
    # The runs with an accuracy of 80 % or more are the upper half of the plot.
    width, height = area.size["width"], area.size["height"]
    corner = ActionChains(browser).move_to_element_with_offset(
        area, -width // 2 + 3, -height // 2 + 3
    )
    corner.click_and_hold().move_by_offset(width - 6, height // 2).release().perform()
    wait(browser, "return document.getElementById('count').textContent === '3 of 5 runs'")
    assert sorted(shown(browser)) == ["a", "b", "c"]
    browser.find_element("id", "reset").click()
    wait(browser, "return document.getElementById('count').textContent === '5 of 5 runs'")


def test_brushing_an_axis_filters_the_table_and_the_scatter(browser: Any) -> None:
    axes = browser.execute_script(
        "return document.getElementById('parallel').data[0].dimensions.map((d) => d.label)"
    )
    assert axes == ["neuron", "optimizer.weight_decay", "Test accuracy", "Energy, µJ a sample"]
    # What dragging along the axis sets; the canvas itself has no elements to drag.
    script = "Plotly.restyle('parallel', {'dimensions[1].constraintrange': [[0.15, 0.5]]})"
    browser.execute_script(script)
    wait(browser, "return document.getElementById('count').textContent === '2 of 5 runs'")
    assert sorted(shown(browser)) == ["b", "c"]
    browser.find_element("id", "search").send_keys("plif")
    assert shown(browser) == ["c"]
    browser.find_element("id", "reset").click()
    wait(browser, "return document.getElementById('count').textContent === '5 of 5 runs'")
    limits = browser.execute_script(
        "return document.getElementById('parallel').data[0].dimensions[1].constraintrange ?? null"
    )
    assert limits is None


def test_what_has_no_place_in_a_plot_is_named(browser: Any) -> None:
    for plot in ("energy", "parallel"):
        note = browser.find_element("id", f"{plot}-note").text
        assert "<e> (e)" in note
        assert "a (a)" not in note


def test_fractions_end_at_100_percent_and_epochs_are_whole(browser: Any) -> None:
    script = "return document.getElementById(arguments[0])._fullLayout[arguments[1]]"
    layout = {
        (plot, axis): browser.execute_script(f"{script}.range", plot, axis)
        for plot in ("energy", "rates", "progress")
        for axis in ("xaxis", "yaxis")
    }
    assert layout["energy", "yaxis"][1] <= 1
    assert layout["rates", "yaxis"][0] >= 0
    assert browser.execute_script(f"{script}.dtick", "rates", "xaxis") == 1


def test_lines_have_a_legend(browser: Any) -> None:
    shown = "return [...document.querySelectorAll('#rates .legendtext')].map((x) => x.textContent)"
    assert set(browser.execute_script(shown)) == {"lif", "plif"}
