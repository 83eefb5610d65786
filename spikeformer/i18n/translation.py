"""From a key to a message: the catalogues, what users add to them, plurals and placeholders."""

from __future__ import annotations

import logging
import string
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeAlias

import yaml

from spikeformer.i18n.formats import format_number
from spikeformer.i18n.locales import (
    CATALOGUES,
    add_locale,
    available_locales,
    babel_locale,
    fallback_chain,
    get_locale,
    language_tag,
)

Message: TypeAlias = str | dict[str, str]
"""A text, or a text for each plural category of the number named `count`."""

_log = logging.getLogger("spikeformer.i18n")


class TranslationManager:
    """Finds messages in the shipped catalogues and in translations of your own.

    `t` asks `spikeformer.i18n.translations`, the process's manager; add your translations there to
    have them everywhere.

    Example:
        >>> manager = TranslationManager()
        >>> manager.add_custom_translations("es", {"lab.greeting": "Hola, {name}."})
        >>> manager.translate("lab.greeting", locale="es", name="Ana")
        'Hola, Ana.'
    """

    def __init__(self) -> None:
        self._added: dict[str, dict[str, Message]] = {}
        self._reported: set[tuple[str, str]] = set()

    def translate(self, key: str, locale: str | None = None, **kwargs: Any) -> str:
        """Return a message in a locale, its placeholders filled.

        Args:
            key: `<package>.<name>`.
            locale: Where to begin to look, then along its `fallback_chain`; None is the current.
            **kwargs: Values by placeholder. `count` chooses the plural form.

        Returns:
            The message. Where there is none, the key: a missing text must not hide what it was to
            say, so it is logged, once, and raises nothing. The same holds for a missing value.
        """
        return self.render(key, locale, kwargs)

    def render(self, key: str, locale: str | None, values: Mapping[str, Any]) -> str:
        """Do what `translate` does, for values of any name."""
        wanted = get_locale() if locale is None else language_tag(locale) or get_locale()
        for language in fallback_chain(wanted):
            message = self._find(key, language)
            if message is None:
                continue
            text = message if isinstance(message, str) else _plural(message, language, values)
            formatter = _Formatter(wanted)
            filled = formatter.vformat(text, (), values)
            for name in formatter.missing:
                self._report_once(key, f"no value for {{{name}}}")
            return filled
        self._report_once(key, "no such message in any language")
        return key

    def knows(self, key: str) -> bool:
        """Tell whether the current locale or its chain has this message."""
        return any(self._find(key, language) for language in fallback_chain(get_locale()))

    def add_custom_translations(self, locale: str, translations: Mapping[str, Message]) -> None:
        """Add messages of a language, new ones or in place of shipped ones.

        Args:
            locale: A language tag; a language that is not shipped is available from now on.
            translations: Texts by key; a dict of plural categories may stand in place of a text.

        Raises:
            ArgumentError: The locale is unknown to the Unicode CLDR, or a text has a stray brace.
        """
        tag = language_tag(locale)
        if tag is None:
            raise _argument_error(
                "locale", locale, 'a language tag of the Unicode CLDR, such as "es" or "pt-BR"'
            )
        for key, message in translations.items():
            for text in [message] if isinstance(message, str) else message.values():
                try:
                    list(string.Formatter().parse(text))
                except ValueError:
                    raise _argument_error(
                        key,
                        text,
                        'a text whose braces are placeholders, as in "{name}"; "{{" is a brace',
                    ) from None
        self._added.setdefault(tag, {}).update(translations)
        add_locale(tag)

    def get_available_locales(self) -> list[str]:
        """Return the languages that have messages, English first."""
        return available_locales()

    def _find(self, key: str, language: str) -> Message | None:
        added = self._added.get(language, {}).get(key)
        return added if added is not None else _catalogue(language, key.partition(".")[0]).get(key)

    def _report_once(self, key: str, problem: str) -> None:
        if (key, problem) not in self._reported:
            self._reported.add((key, problem))
            _log.warning("Message %r: %s.", key, problem)


translations = TranslationManager()
"""The manager that `t` asks."""


def t(key: str, /, **values: Any) -> str:
    """Return the message of this key in the current locale.

    Args:
        key: `<package>.<name>`; its texts are in `catalogues/<language>/<package>.yaml`.
        **values: Values by placeholder. `count` chooses the plural form.

    Example:
        >>> t("error.model_not_found", model_name="MyModel")
        'Model not found: MyModel'
    """
    return translations.render(key, None, values)


@cache
def _catalogue(language: str, package: str) -> dict[str, Message]:
    """Return a package's messages by full key; read when the first of them is needed."""
    path = CATALOGUES / language / f"{package}.yaml"
    if not path.is_file():
        return {}
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    content = yaml.load(path.read_text(encoding="utf-8"), loader)
    return {f"{package}.{name}": message for name, message in content.items()}


def _plural(message: Mapping[str, str], language: str, values: Mapping[str, Any]) -> str:
    category = babel_locale(language).plural_form(values.get("count", 0))
    return message[category if category in message else "other"]


class _Formatter(string.Formatter):
    """Fills placeholders by name alone; formatted numbers get the locale's separators."""

    def __init__(self, locale: str) -> None:
        self.locale = locale
        self.missing: list[str] = []

    def get_field(self, field_name: str, args: Any, kwargs: Mapping[str, Any]) -> Any:
        if field_name in kwargs:
            return kwargs[field_name], field_name
        self.missing.append(field_name)
        return _Placeholder(field_name), field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, Mapping) and not format_spec:
            return ", ".join(f"{key}={self._short(item)}" for key, item in value.items())
        if format_spec and not isinstance(value, str | _Placeholder):
            return format_number(value, format_spec, locale=self.locale)
        return format(value, format_spec)

    def _short(self, value: Any) -> str:
        return self.format_field(value, ".4g" if isinstance(value, float) else "")


class _Placeholder:
    """Stands for a value that was not given, whatever its format."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __format__(self, spec: str) -> str:
        return f"{{{self.name}}}"

    def __repr__(self) -> str:
        return f"{{{self.name}}}"


def _argument_error(argument: str, value: object, expected: str) -> Exception:
    from spikeformer.error_handling import ArgumentError  # that module uses this one

    return ArgumentError(argument, value, expected)
