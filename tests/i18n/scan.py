"""Finds which messages the package's code and templates ask for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import spikeformer

PACKAGE = Path(spikeformer.__file__).parent
TAKES_KEY = {"t", "LocalizedError", "_argument_error"}
"""What is called with a key as its first literal argument that looks like one."""

KEY = re.compile(r"[a-z]\w*(\.\w+)+")


def used_keys() -> dict[str, str]:
    """Return where each key is asked for; a key that is put together ends with its known part."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for key, line in _in_code(ast.parse(path.read_text(encoding="utf-8"))):
            found[key] = f"{path.relative_to(PACKAGE.parent)}:{line}"
    for path in sorted(PACKAGE.rglob("*.j2")):
        for key in re.findall(r"""\bt\(\s*["']([\w.]+)["']""", path.read_text(encoding="utf-8")):
            found[key] = str(path.relative_to(PACKAGE.parent))
        for start in re.findall(r"""\bt\(\s*["']([\w.]+)["']\s*~""", path.read_text("utf-8")):
            found.pop(start, None)
            found[f"{start}*"] = str(path.relative_to(PACKAGE.parent))
    return found


def _in_code(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else None
        name = node.func.id if isinstance(node.func, ast.Name) else name
        if name not in TAKES_KEY:
            continue
        for argument in node.args:
            for leaf in _alternatives(argument):
                if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str):
                    if KEY.fullmatch(leaf.value):
                        yield leaf.value, node.lineno
                elif isinstance(leaf, ast.JoinedStr) and isinstance(leaf.values[0], ast.Constant):
                    yield f"{leaf.values[0].value}*", node.lineno


def _alternatives(node: ast.expr) -> Iterator[ast.expr]:
    """Both sides of `t("a.b" if condition else "a.c")`."""
    if isinstance(node, ast.IfExp):
        yield from _alternatives(node.body)
        yield from _alternatives(node.orelse)
    else:
        yield node
