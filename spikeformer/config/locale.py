"""The configuration's language."""

from __future__ import annotations

from spikeformer.error_handling import ArgumentError, ConfigurationError
from spikeformer.i18n import check_locale


def configured_locale(value: str) -> str:
    """Return the language tag that `locale=value` means.

    Raises:
        ConfigurationError: There are no texts in this language.
    """
    try:
        return check_locale(value)
    except ArgumentError as error:
        raise ConfigurationError(f"locale={value}: {error}") from error
