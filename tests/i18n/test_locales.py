from __future__ import annotations

import asyncio
import contextvars
import logging
import threading

import pytest

from spikeformer.error_handling import ArgumentError
from spikeformer.i18n import (
    available_locales,
    check_locale,
    fallback_chain,
    get_locale,
    set_default_locale,
    set_locale,
    t,
    use_locale,
)


def spoken() -> str:
    return t("error.model_not_found", model_name="M")


def test_english_speaks_unless_another_is_chosen():
    assert get_locale() == "en"
    assert spoken() == "Model not found: M"
    set_locale("es")
    assert (get_locale(), spoken()) == ("es", "No se encontró el modelo: M")


def test_the_environment_chooses_the_process_s_locale(monkeypatch):
    monkeypatch.setenv("LANG", "fr_FR.UTF-8")
    monkeypatch.setenv("SPIKEFORMER_LOCALE", "de_AT.UTF-8")
    assert get_locale() == "de-AT"
    assert spoken() == "Modell nicht gefunden: M"


def test_lang_alone_chooses_nothing(monkeypatch):
    monkeypatch.setenv("LANG", "fr_FR.UTF-8")
    monkeypatch.setenv("SPIKEFORMER_LOCALE", "")
    assert get_locale() == "en"


def test_use_locale_ends_with_its_block_also_by_an_error():
    set_locale("de")
    with use_locale("es"):
        with pytest.raises(KeyError), use_locale("fr"):
            raise KeyError(get_locale())
        assert get_locale() == "es"
    assert get_locale() == "de"


def test_threads_have_their_own_locale_and_share_the_default():
    set_locale("es")
    set_default_locale("ja")
    heard, both_chose = {}, threading.Barrier(2)

    def speak(locale: str) -> None:
        before = get_locale()
        set_locale(locale)
        both_chose.wait()
        heard[locale] = before, get_locale()

    threads = [threading.Thread(target=speak, args=(locale,)) for locale in ("fr", "ar")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == {"fr": ("ja", "fr"), "ar": ("ja", "ar")}
    assert get_locale() == "es"


def test_tasks_have_their_own_locale_and_inherit_their_maker_s():
    async def speak(locale: str) -> tuple[str, str]:
        before = get_locale()
        set_locale(locale)
        await asyncio.sleep(0)
        return before, get_locale()

    async def several() -> list[tuple[str, str]]:
        set_locale("de")
        return await asyncio.gather(speak("fr"), speak("ar"))

    assert contextvars.copy_context().run(asyncio.run, several()) == [("de", "fr"), ("de", "ar")]
    assert get_locale() == "en"


@pytest.mark.parametrize(
    ("locale", "chain"),
    [
        ("en", ("en",)),
        ("es-MX", ("es-MX", "es-419", "es", "en")),
        ("pt-BR", ("pt-BR", "pt", "en")),
        ("pt-AO", ("pt-AO", "pt-PT", "pt", "en")),
        ("en-GB", ("en-GB", "en-001", "en")),
        ("zh-CN", ("zh-Hans-CN", "zh-Hans", "zh", "en")),
        ("zh-TW", ("zh-Hant-TW", "zh-Hant", "zh", "en")),
    ],
)
def test_fallback_chains(locale, chain):
    assert fallback_chain(locale) == chain


@pytest.mark.parametrize("name", ["es-MX", "es_MX", "ES-mx", "es_MX.UTF-8", "es_MX.UTF-8@euro"])
def test_a_region_speaks_its_language(name):
    set_locale(name)
    assert (get_locale(), spoken()) == ("es-MX", "No se encontró el modelo: M")


@pytest.mark.parametrize("name", ["xx", "it", "C", "", "not a locale", "es-"])
def test_a_locale_without_texts_is_logged_and_english_speaks(name, caplog):
    with caplog.at_level(logging.WARNING, "spikeformer.i18n"), use_locale(name):
        assert (get_locale(), spoken()) == ("en", "Model not found: M")
    (record,) = caplog.records
    assert repr(name) in record.getMessage()
    assert "es" in record.getMessage()
    with pytest.raises(ArgumentError, match="'de', 'es'"):
        check_locale(name)


def test_checked_locales_are_language_tags():
    assert [check_locale(name) for name in ("en", "pt_BR", "en-GB")] == ["en", "pt-BR", "en-GB"]
    assert available_locales()[0] == "en"
