"""Every place that removes, renames or overwrites a file says why it may."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import spikeformer

PACKAGE = Path(spikeformer.__file__).parent

REASONS = {
    "caching/disk.py": (
        {"unlink", "rmdir"},
        "Values by the exact names that the cache gives, links excluded, and after damage to the "
        "index only those that say in themselves that a cache wrote them; the index itself, in a "
        "folder that a tag marks as ours; empty folders.",
    ),
    "compliance/vault.py": (
        {"open", "fdopen", "link", "unlink"},
        "A new key is written to a name of its own with O_EXCL and linked; then that name goes.",
    ),
    "files/created.py": (
        {"unlink", "rmdir"},
        "Files that this process made, known by their inodes, and empty folders that it made.",
    ),
    "files/writing.py": (
        {"unlink", "rename", "replace", "write_text"},
        "`replacing` writes to a name of its own and puts that in the place of what it was asked "
        "to replace; `remove_leftovers` removes names of that form; `set_aside` renames to what "
        "is free.",
    ),
    "hardware/ir/files.py": ({"open"}, "The temporary file of `replacing`."),
    "hardware/targets/exchange.py": (
        {"write_text", "replace"},
        "A worker's result, in its private folder.",
    ),
    "hardware/targets/guard.py": (
        {"rmtree"},
        "The private folder of a worker, made by `tempfile`, after its owner was killed; links in "
        "it are removed, not followed.",
    ),
    "hardware/targets/toolchain.py": ({"write_text"}, "A job, in the worker's private folder."),
    "hardware/targets/spinnaker/worker/machine.py": (
        {"write_text"},
        "sPyNNaker's settings, in the worker's private folder.",
    ),
    "runs/results/result.py": ({"open"}, "The temporary file of `replacing`."),
    "reporting/report.py": ({"write_text"}, "The temporary file of `replacing`."),
    "reporting/svg.py": ({"open"}, "The temporary file of `replacing`."),
    "training/plugins.py": ({"open"}, "The temporary file of `replacing`."),
}
"""Calls by file, and why nothing of anybody else's is touched."""

ALWAYS = {"rmtree", "unlink", "rmdir", "removedirs", "rename", "renames", "truncate", "write_bytes"}
"""Names of calls that remove, rename or overwrite, whatever they are called on."""


def changes(call: ast.Call) -> bool:
    """Whether a call removes, renames or overwrites a file."""
    match call.func:
        case ast.Attribute(attr=name, value=owner):
            on = ast.unparse(owner)
        case ast.Name(id=name):
            on = ""
        case _:
            return False
    if name in ALWAYS:
        return True
    if name in ("remove", "move", "copy", "copyfile", "copytree", "copy2", "symlink", "link"):
        return on in ("os", "shutil")
    if name == "write_text":  # the function of that name replaces in one step
        return bool(on)
    if name == "replace":  # of a path or of `os`; that of a text has two arguments
        return on == "os" or (len(call.args) == 1 and not call.keywords)
    if name in ("open", "fdopen"):
        words = [
            a.value
            for a in (*call.args, *(k.value for k in call.keywords))
            if isinstance(a, ast.Constant) and isinstance(a.value, str)
        ]
        modes = any(set(word) <= set("rwaxbt+") and set(word) & set("wax+") for word in words)
        return modes or any(f in ast.unparse(call) for f in ("O_WRONLY", "O_RDWR", "O_CREAT"))
    return False


def found(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and changes(node):
            yield node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id


def test_every_removal_and_overwrite_has_a_reason():
    calls = {
        path.relative_to(PACKAGE).as_posix(): names
        for path in PACKAGE.rglob("*.py")
        if (names := set(found(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert calls == {file: names for file, (names, _) in REASONS.items()}


@pytest.mark.parametrize(
    "code",
    [
        "shutil.rmtree(x)",
        "path.unlink()",
        "os.remove(x)",
        "a.replace(b)",
        "os.replace(a, b)",
        "path.rename(b)",
        "open(x, 'w')",
        "path.open(mode='ab')",
        "path.write_text('')",
        "os.open(x, os.O_WRONLY)",
        "shutil.move(a, b)",
    ],
)
def test_found_sees_removals_and_overwrites(code):
    assert list(found(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "text.replace('a', 'b')",
        "open(x)",
        "open(x, 'rb')",
        "items.remove(x)",
        "day.replace(hour=1)",
    ],
)
def test_found_passes_over_the_rest(code):
    assert not list(found(ast.parse(code)))
