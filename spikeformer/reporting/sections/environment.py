"""The environment the run had."""

from __future__ import annotations

from typing import Any

from spikeformer.i18n import format_number, t, translations
from spikeformer.reporting.sections.section import Content, register_section
from spikeformer.runs.results import RunResults

_ORDER = ("python", "platform", "cpu", "cores", "threads", "memory_gib", "gpu", "git", "seed")
_PROPER = {"python": "Python", "gpu": "GPU", "git": "Git"}
_APART = ("packages", "command")


@register_section("environment", title="Environment", order=60, source="environment.json")
def environment(results: RunResults) -> Content | None:
    """Show machine, versions, git state and the command that started the run."""
    found = results.environment
    if not found:
        return None
    keys = [key for key in _ORDER if key in found]
    keys += [key for key in found if key not in _ORDER and key not in _APART]
    facts = [(_label(key), _fact(key, found[key])) for key in keys]
    packages = found.get("packages")
    values = {
        "facts": facts,
        "command": found.get("command"),
        "packages": sorted(packages.items()) if isinstance(packages, dict) else [],
    }
    return Content(values)


def _label(key: str) -> str:
    known = translations.knows(f"reporting.fact_{key}")
    return t(f"reporting.fact_{key}") if known else _PROPER.get(key, key.replace("_", " "))


def _fact(key: str, value: Any) -> str:
    if key == "git" and isinstance(value, dict):
        known = value.get("commit")
        commit = str(known)[:12] if known else t("reporting.unknown_commit")
        return t("reporting.dirty", commit=commit) if value.get("dirty") else commit
    if key == "memory_gib" and isinstance(value, int | float):
        return f"{format_number(value, '.4g')} GiB"
    return t("reporting.none") if value is None else str(value)
