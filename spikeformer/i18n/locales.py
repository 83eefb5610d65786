"""The locale in force: that of the thread or task, else the process's, else English."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path

from babel import Locale
from babel.core import UnknownLocaleError, get_global

SOURCE = "en"
"""The language that the code's authors write; every chain ends with it."""

CATALOGUES = Path(__file__).parent / "catalogues"
ENVIRONMENT_VARIABLE = "SPIKEFORMER_LOCALE"

_log = logging.getLogger("spikeformer.i18n")
_chosen: ContextVar[str | None] = ContextVar("spikeformer_locale", default=None)
_default: str | None = None
_added: set[str] = set()


def get_locale() -> str:
    """Return the current locale as a language tag, such as "es" or "pt-BR".

    It is that of `set_locale` or `use_locale` in this thread or task; else that of
    `set_default_locale`; else that of the environment variable SPIKEFORMER_LOCALE; else "en".
    `LANG` has no say: the same command gives the same text on every machine.
    """
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    if _default is None:
        set_default_locale(os.environ.get(ENVIRONMENT_VARIABLE) or SOURCE)
        return get_locale()
    return _default


def set_locale(locale: str) -> None:
    """Choose the locale of the current thread or task, until it chooses another.

    Args:
        locale: A language tag such as "es", "es-MX" or "zh_Hans_CN". A region without texts of its
            own takes its language's and keeps its number format. What has no texts at all is
            logged, and English is used.

    Example:
        >>> set_locale("es")
        >>> get_locale()
        'es'
    """
    _chosen.set(_known_or_english(locale))


def set_default_locale(locale: str) -> None:
    """Choose the locale of all threads and tasks that choose none themselves; see `set_locale`."""
    global _default
    _default = _known_or_english(locale)


@contextmanager
def use_locale(locale: str) -> Iterator[None]:
    """Choose the locale of what runs inside the `with` block; see `set_locale`."""
    token = _chosen.set(_known_or_english(locale))
    try:
        yield
    finally:
        _chosen.reset(token)


def check_locale(locale: str) -> str:
    """Return the locale's language tag; an `ArgumentError` names the languages there are.

    Example:
        >>> check_locale("es_mx")
        'es-MX'
    """
    from spikeformer.error_handling import check_choice  # that module uses this one

    return _known(locale) or check_choice("locale", locale, available_locales())


def available_locales() -> list[str]:
    """Return the languages that have texts, English first."""
    shipped = {folder.name for folder in CATALOGUES.iterdir() if folder.is_dir()}
    return [SOURCE, *sorted((shipped | _added) - {SOURCE})]


def add_locale(locale: str) -> None:
    """Take note that a locale has texts beyond the shipped catalogues."""
    _added.add(locale)


@lru_cache(maxsize=64)
def fallback_chain(locale: str) -> tuple[str, ...]:
    """Return where texts are looked for, in this order: the locale, its parents, English.

    Parents are those of the Unicode CLDR, found by Babel; a language in another script, which the
    CLDR sends to no parent, still comes before English.

    Example:
        >>> fallback_chain("es-MX")
        ('es-MX', 'es-419', 'es', 'en')
    """
    parents = get_global("parent_exceptions")
    name, chain = str(babel_locale(locale)), []
    while name:
        chain.append(name.replace("_", "-"))
        parent = parents.get(name)
        name = name.rpartition("_")[0] if parent in (None, "root") else parent
    return tuple(dict.fromkeys([*chain, SOURCE]))


@lru_cache(maxsize=64)
def babel_locale(locale: str) -> Locale:
    """Return Babel's knowledge of a locale: plural rules, symbols, direction.

    Raises:
        ValueError: This is no locale of the Unicode CLDR.
    """
    # As environment variables write it, too: es_MX.UTF-8, ca_ES@valencia.
    name = locale.partition(".")[0].partition("@")[0].replace("-", "_")
    if name in ("C", "POSIX"):  # no language, though Babel takes them for English
        raise ValueError(f"{locale!r} is no language")
    try:
        return Locale.parse(name)
    except (UnknownLocaleError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error


def language_tag(locale: str) -> str | None:
    """Return the locale's canonical tag, None if the CLDR knows no such locale."""
    try:
        return str(babel_locale(locale)).replace("_", "-")
    except (ValueError, AttributeError, TypeError):
        return None


def _known(locale: str) -> str | None:
    """Return the canonical tag of a locale that has texts, else None."""
    tag = language_tag(locale)
    if tag is None:
        return None
    texts = set(fallback_chain(tag)) & set(available_locales())
    return tag if texts - {SOURCE} or tag.partition("-")[0] == SOURCE else None


def _known_or_english(locale: str) -> str:
    known = _known(locale)
    if known is None:
        there = ", ".join(available_locales())
        _log.warning("No texts for locale %r; English is used. There are: %s.", locale, there)
    return known or SOURCE
