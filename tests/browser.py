"""A headless Chromium for tests that open a page."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


@contextmanager
def open_browser(*more_flags: str) -> Iterator[Any]:
    """Start Chromium with a profile of its own; skip the test where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        absent = "chromium" if browser is None else "chromedriver"
        pytest.skip(f"{absent} is not on the PATH (Debian: apt install chromium chromium-driver)")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        for flag in (*FLAGS, *more_flags, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.ChromeService(driver, log_output=os.devnull)
        chromium = webdriver.Chrome(options=options, service=service)
        try:
            yield chromium
        finally:
            chromium.quit()


def show(browser: Any, page: Path, *, width: int, height: int = 800, dark: bool = False) -> None:
    """Load a file at a viewport of `width` CSS pixels in the light or the dark theme."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get(page.resolve().as_uri())


def console(browser: Any) -> list[str]:
    """Return what the page wrote to the console since the last call."""
    return [entry["message"] for entry in browser.get_log("browser")]


def overflow(browser: Any) -> int:
    """Return by how many pixels the page is wider than the viewport."""
    script = "return document.documentElement.scrollWidth - window.innerWidth"
    return int(browser.execute_script(script))
