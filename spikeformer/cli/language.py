"""The language of the command line, known before there is anything to say in it."""

from __future__ import annotations

from collections.abc import Sequence

from spikeformer.config import configured_locale
from spikeformer.i18n import set_default_locale


def speak(arguments: Sequence[str]) -> None:
    """Take the process's locale from `locale=...`, the last one if there are several.

    Raises:
        ConfigurationError: It names a language that has no texts.
    """
    pairs = [argument.lstrip("+").partition("=") for argument in arguments]
    given = [value.strip("'\"") for key, _, value in pairs if key == "locale"]
    if given:
        # A sweep may name several, for a run each: what concerns all of them is said in the first.
        set_default_locale(configured_locale(given[-1].partition(",")[0]))
