"""Every message exists in every language, says the same values, and is used."""

from __future__ import annotations

import string
from fnmatch import fnmatchcase
from functools import cache

import pytest
import yaml
from babel import Locale

from spikeformer.i18n import available_locales
from spikeformer.i18n.locales import CATALOGUES
from tests.i18n.scan import (
    PACKAGE,
    asked_keys,
    mentioned_keys,
    translated_argument_errors,
)

LANGUAGES = ("en", "ar", "de", "es", "fr", "ja", "pt", "zh")
SHARED = {"error", "success"}
"""Catalogues that belong to no one package."""

FROM_THE_REFERENCE = {"error.model_not_found", "success.benchmark_complete"}
"""For users to ask for; the package itself has no need of them."""

PARTS = sorted(path.stem for path in (CATALOGUES / "en").glob("*.yaml"))


@cache
def messages(language: str, part: str) -> dict[str, str | dict[str, str]]:
    path = CATALOGUES / language / f"{part}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


KNOWN = {f"{part}.{name}" for part in PARTS for name in messages("en", part)}


def texts(message: str | dict[str, str]) -> list[str]:
    return [message] if isinstance(message, str) else list(message.values())


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_these_languages_ship():
    assert available_locales() == list(LANGUAGES)
    for language in LANGUAGES:
        assert sorted(path.stem for path in (CATALOGUES / language).iterdir()) == PARTS


@pytest.mark.parametrize("part", PARTS)
def test_a_catalogue_belongs_to_a_package(part):
    package = PACKAGE / part
    assert (
        part in SHARED
        or (package / "__init__.py").is_file()
        or package.with_suffix(".py").is_file()
    )


@pytest.mark.parametrize("part", PARTS)
def test_languages_have_the_same_messages_with_the_same_values(part):
    english = messages("en", part)
    assert english
    for language in LANGUAGES:
        translated = messages(language, part)
        assert list(translated) == list(english), language
        for name, message in translated.items():
            assert isinstance(message, dict) == isinstance(english[name], dict), (language, name)
            for text in texts(message):
                assert isinstance(text, str), (language, name)
                assert text == text.strip() != "", (language, name)
                wanted = set().union(*map(placeholders, texts(english[name])))
                assert placeholders(text) == wanted, (language, name)
                assert all(value.isidentifier() for value in wanted), (language, name)


@pytest.mark.parametrize("language", LANGUAGES)
def test_plural_forms_are_those_of_the_language(language):
    wanted = {*Locale.parse(language).plural_form.tags, "other"}
    for part in PARTS:
        for name, message in messages(language, part).items():
            if isinstance(message, dict):
                assert set(message) == wanted, (part, name)


def test_every_message_that_is_asked_for_exists():
    absent = {f"{where}: {key}" for key, where in asked_keys().items() if key not in KNOWN}
    assert not absent


def test_argument_errors_are_written_where_they_are_raised():
    """A programmer reads them; the command line's own are for whoever types it."""
    assert [place for place in translated_argument_errors() if "/cli/" not in place] == []


def test_every_message_is_used():
    used = mentioned_keys(PARTS)
    dead = {name for name in KNOWN if not any(fnmatchcase(name, key) for key in used)}
    assert dead == FROM_THE_REFERENCE
