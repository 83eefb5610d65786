"""The page in languages other than English."""

from __future__ import annotations

import json
import re

import matplotlib as mpl
import pytest
import yaml

from spikeformer import figure_style
from spikeformer.i18n import available_locales, text_direction, use_locale
from spikeformer.i18n.locales import CATALOGUES
from spikeformer.reporting import build_dashboard, build_report
from tests.reporting.synthetic import write_run


def fixed_texts(locale: str) -> dict[str, str]:
    """The report's messages that hold no value, by name."""
    content = yaml.safe_load((CATALOGUES / locale / "reporting.yaml").read_text(encoding="utf-8"))
    return {
        name: text for name, text in content.items() if isinstance(text, str) and "{" not in text
    }


def without_figures(page: str) -> str:
    return re.sub(r"<svg.*?</svg>|<style>.*?</style>", "", page, flags=re.DOTALL)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The page of one run by language."""
    folder = write_run(tmp_path_factory.mktemp("languages") / "run")
    found = {}
    for locale in ("en", "de", "ar"):
        with use_locale(locale):
            found[locale] = build_report(folder, save_figures=False).read_text(encoding="utf-8")
    return found


@pytest.mark.parametrize("locale", ["de", "ar"])
def test_no_english_is_left_in_the_page(pages, locale):
    english, page = without_figures(pages["en"]), pages[locale]
    with use_locale(locale):
        assert f'<html lang="{locale}" dir="{text_direction()}">' in page
    translated = fixed_texts(locale)
    shown = 0
    for name, text in fixed_texts("en").items():
        if len(text) > 12 and text in english and text != translated[name]:
            assert text not in without_figures(page), name
            shown += 1
    assert shown > 12


def test_the_dashboard_speaks(tmp_path):
    pytest.importorskip("plotly", reason="the extra dashboard is not installed")
    folder = write_run(tmp_path / "run")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "manifest.json").write_text("{half")
    pages = {}
    for language in ("en", "ar"):
        with use_locale(language):
            page = build_dashboard(folder.parent).read_text(encoding="utf-8")
        scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, flags=re.DOTALL)
        drawn = json.loads(scripts[1])
        shown = re.sub(r"<(style|script).*?</\1>", "", page, flags=re.DOTALL)
        pages[language] = shown + json.dumps(drawn["texts"], ensure_ascii=False)
    assert '<html lang="ar" dir="rtl">' in pages["ar"]
    translated = fixed_texts("ar")
    checked = 0
    for name, text in fixed_texts("en").items():
        if len(text) > 10 and text in pages["en"] and text != translated[name]:
            assert text not in pages["ar"], name
            checked += 1
    assert checked > 12


def test_numbers_and_dates_are_the_language_s(pages):
    assert "4. März 2025, 10:20" in pages["de"]
    assert "98,9" in pages["de"]
    assert "98.9" in pages["ar"]


def test_figures_speak_what_their_font_can_write():
    shown = {}
    for locale in available_locales():
        with use_locale(locale):
            shown[locale] = figure_style.words("reporting.axis_timestep")
    assert shown["es"] == "paso de tiempo"
    assert shown["de"] == "Zeitschritt"
    for locale in ("ar", "ja", "zh"):
        assert shown[locale] == "timestep"


def test_a_font_with_more_letters_is_used(monkeypatch):
    every_letter = frozenset(range(0x110000))
    monkeypatch.setattr(figure_style, "_letters_of", lambda font: every_letter)
    with use_locale("ja"):
        assert figure_style.words("reporting.axis_timestep") == "タイムステップ"
    with use_locale("ar"):  # Matplotlib joins no Arabic letters
        assert figure_style.words("reporting.axis_timestep") == "timestep"


def test_ticks_have_the_language_s_separator():
    figure = figure_style.new_figure()
    axes = figure.add_subplot()
    axes.plot([0, 1], [0.5, 0.505])
    figure_style.percent_ticks(axes.yaxis)
    with use_locale("es"), mpl.rc_context():
        figure.canvas.draw()
        labels = [label.get_text() for label in axes.get_yticklabels()]
    assert "50,1 %" in labels
