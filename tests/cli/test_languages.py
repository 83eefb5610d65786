"""The command line in a language that is not English: mistakes, stages and the report."""

from __future__ import annotations

import pytest

from spikeformer.cli import compose
from spikeformer.error_handling import ConfigurationError
from spikeformer.i18n import get_locale
from spikeformer.pipeline import run_pipeline
from tests.commands import SMALL

MISTAKES = {
    "modle=x": {"es": "¿Quiso decir model?", "ar": "هل تقصد model؟"},
    "pipeline.resume=/nowhere": {"es": "no es la carpeta de una", "ar": "هذا ليس مجلد تشغيل"},
    "task=causal_lm": {"es": "no tiene: estas opciones", "ar": "هذه الخيارات لا تتوافق"},
}


@pytest.mark.parametrize("locale", ["es", "ar"])
@pytest.mark.parametrize("argument", MISTAKES)
def test_mistakes_are_explained_in_the_chosen_language(command, argument, locale):
    status, errors, left = command(argument, f"locale={locale}")
    assert (status, left) == (2, [])
    assert MISTAKES[argument][locale] in errors
    assert "Traceback" not in errors


def test_a_language_without_texts_is_refused(command):
    status, errors, left = command("locale=xx")
    assert (status, left) == (2, [])
    assert "error: locale=xx: Expected `locale` to be one of 'en', 'ar'" in errors
    with pytest.raises(ConfigurationError, match="locale=xx"):
        run_pipeline(compose("locale=xx"), left)


def test_the_configuration_takes_the_locale_in_force(monkeypatch):
    assert compose().locale == "en"
    monkeypatch.setattr("spikeformer.i18n.locales._default", "ja")
    assert compose().locale == "ja"
    assert compose("locale=pt-BR").locale == "pt-BR"


LINES = {
    "es": ["época 1/1", "fit      1 época en", "parámetros", "test     exactitud ", "muestras"],
    "ar": ["دورة 1/1", "fit      1 دورة في", "معاملًا", "test ", "الدقة ", "عينة"],
}
PAGES = {
    "es": ['<html lang="es" dir="ltr">', ">Entrenamiento</h2>", "tasa de disparo", ">época<"],
    "ar": ['<html lang="ar" dir="rtl">', ">التدريب</h2>", "معدل الإطلاق", ">epoch<"],
}


@pytest.mark.slow
@pytest.mark.usefixtures("no_figure_files")
@pytest.mark.parametrize("locale", ["ar"])
def test_a_run_speaks_from_the_first_line_to_the_report(tmp_path, capsys, locale):
    config = compose(*SMALL, "debug=fast", "logger=none", f"locale={locale}")
    run_pipeline(config, tmp_path)
    assert get_locale() == "en"
    said = capsys.readouterr().out
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for text in LINES[locale]:
        assert text in said
    for text in PAGES[locale]:
        assert text in page
    # In another language the page is written anew; what was trained stays.
    run_pipeline(compose(*SMALL, "debug=fast", "logger=none", "locale=de"), tmp_path)
    said = capsys.readouterr().out
    assert "fit      unverändert: 1 Epoche in" in said
    assert '<html lang="de" dir="ltr">' in (tmp_path / "report.html").read_text(encoding="utf-8")
