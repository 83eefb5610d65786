"""Whatever a test chooses to speak, the next one starts in English."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator

import pytest

from spikeformer.i18n import locales, translation


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(locales, "_default", None)
    monkeypatch.setattr(locales, "_added", set())
    monkeypatch.setattr(translation.translations, "_added", {})
    monkeypatch.setattr(translation.translations, "_reported", set())
    token = locales._chosen.set(None)
    yield
    locales._chosen.reset(token)


@pytest.fixture
def alone() -> contextvars.Context:
    """A context as a new thread or task starts with."""
    return contextvars.Context()
