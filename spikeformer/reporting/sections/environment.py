"""The environment the run had."""

from __future__ import annotations

from typing import Any

from spikeformer.reporting.results import RunResults
from spikeformer.reporting.sections._section import Content, register_section

_LABELS = {
    "python": "Python",
    "platform": "Platform",
    "cpu": "Processor",
    "cores": "Cores",
    "memory_gib": "Memory",
    "gpu": "GPU",
    "git": "Git",
    "seed": "Seed",
}
_APART = ("packages", "command")


@register_section("environment", title="Environment", order=60, source="environment.json")
def environment(results: RunResults) -> Content | None:
    """Show machine, versions, git state and the command that started the run."""
    found = results.environment
    if not found:
        return None
    keys = [key for key in _LABELS if key in found]
    keys += [key for key in found if key not in _LABELS and key not in _APART]
    facts = [(_LABELS.get(key, key.replace("_", " ")), _fact(key, found[key])) for key in keys]
    packages = found.get("packages")
    values = {
        "facts": facts,
        "command": found.get("command"),
        "packages": sorted(packages.items()) if isinstance(packages, dict) else [],
    }
    return Content(values)


def _fact(key: str, value: Any) -> str:
    if key == "git" and isinstance(value, dict):
        commit = str(value.get("commit") or "unknown commit")[:12]
        return f"{commit}, with uncommitted changes" if value.get("dirty") else commit
    if key == "memory_gib" and isinstance(value, int | float):
        return f"{value:.4g} GiB"
    return "none" if value is None else str(value)
