"""Finds which messages the package's code, its templates and the scripts ask for."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

import spikeformer

PACKAGE = Path(spikeformer.__file__).parent
_KEY = re.compile(r"[a-z]\w*\.\w*\*?")
_ASKS = {"t", "LocalizedError", "markup", "words"}
"""Functions whose first argument is a key."""


def asked_keys() -> dict[str, str]:
    """Return the keys that are asked for by name, and where."""
    found = {}
    for path, tree in _modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) in _ASKS and node.args:
                for leaf in _alternatives(node.args[0]):
                    if isinstance(leaf, ast.Constant):
                        found[leaf.value] = f"{path}:{node.lineno}"
    for path, text in _templates():
        found |= dict.fromkeys(re.findall(r"\b(?:t|markup)\(\s*'([\w.]+)'", text), str(path))
    return found


def mentioned_keys(parts: Collection[str]) -> set[str]:
    """Return the keys of these catalogues in any string; one put together ends with a star."""
    found = set(asked_keys())
    for _, tree in _modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                found.add(f"{node.values[0].value}*")
    return {key for key in found if key.partition(".")[0] in parts and _KEY.fullmatch(key)}


def translated_argument_errors() -> list[str]:
    """Return the places where an `ArgumentError` is raised with a message of a catalogue."""
    return [
        f"{path}:{node.lineno}"
        for path, tree in _modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _name(node.func) == "ArgumentError"
        for part in ast.walk(node)
        if isinstance(part, ast.Call) and _name(part.func) == "t"
    ]


@cache
def _modules() -> list[tuple[Path, ast.Module]]:
    return [
        (path.relative_to(PACKAGE.parent), ast.parse(path.read_text(encoding="utf-8")))
        for path in sorted([*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "scripts").rglob("*.py")])
    ]


def _templates() -> Iterator[tuple[Path, str]]:
    for path in sorted(PACKAGE.rglob("*.j2")):
        yield path.relative_to(PACKAGE.parent), path.read_text(encoding="utf-8")


def _name(function: ast.expr) -> str | None:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else None


def _alternatives(node: ast.expr) -> Iterator[ast.expr]:
    """Both sides of `t("a.b" if condition else "a.c")`."""
    if isinstance(node, ast.IfExp):
        yield from _alternatives(node.body)
        yield from _alternatives(node.orelse)
    else:
        yield node
