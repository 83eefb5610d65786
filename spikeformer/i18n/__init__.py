"""Messages, numbers and units in the user's language; lowest of all packages with the errors.

`t("package.name", **values)` gives a message in the current locale. Its texts lie in
`catalogues/<language>/<package>.yaml`, one file for each package and language.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spikeformer.i18n.formats import (
    format_date,
    format_energy,
    format_list,
    format_number,
    format_percentage,
    format_time,
    text_direction,
)
from spikeformer.i18n.locales import (
    available_locales,
    check_locale,
    fallback_chain,
    get_locale,
    set_default_locale,
    set_locale,
    use_locale,
)
from spikeformer.i18n.translation import TranslationManager, t, translations

if TYPE_CHECKING:
    from spikeformer.error_handling import LocalizedError

__all__ = [
    "LocalizedError",
    "TranslationManager",
    "available_locales",
    "check_locale",
    "fallback_chain",
    "format_date",
    "format_energy",
    "format_list",
    "format_number",
    "format_percentage",
    "format_time",
    "get_locale",
    "set_default_locale",
    "set_locale",
    "t",
    "text_direction",
    "translations",
    "use_locale",
]


def __getattr__(name: str) -> Any:
    # The errors' own texts come from here, so their module is loaded after this one.
    if name == "LocalizedError":
        from spikeformer.error_handling import LocalizedError

        return LocalizedError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
