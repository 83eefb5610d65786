"""Plant small faults in a package, one at a time, and list those that its tests do not notice.

    make mutants PACKAGE=spikeformer/metrics

Cosmic Ray writes each fault into the file itself, so that all of this happens in a copy of the
working tree, `.mutants/tree`. A surviving fault is a missing test, or no fault at all: look at it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
PLACE = REPOSITORY / ".mutants"
TREE = PLACE / "tree"

# Of the many replacements of an operator one or two tell as much as all of them.
BINARY = "Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_Mul|Pow_Mul|LShift_RShift|RShift_LShift"
COMPARISONS = (
    "Eq_NotEq|NotEq_Eq|Is_IsNot|IsNot_Is|Lt_LtE|LtE_Lt|Gt_GtE|GtE_Gt|Lt_GtE|LtE_Gt|Gt_LtE|GtE_Lt"
)
LEFT_OUT = (
    f"core/ReplaceBinaryOperator_(?!({BINARY})$)",
    f"core/ReplaceComparisonOperator_(?!({COMPARISONS})$)",
)
"""Patterns of Cosmic Ray's operators that are not tried."""


def tests_of(package: str) -> str:
    """Return where the tests of a package or a module of ours lie.

    Example:
        >>> tests_of("spikeformer/ops/lif"), tests_of("spikeformer/runs/layout.py")
        ('tests/ops/lif', 'tests/runs/test_layout.py')
    """
    path = Path(package)
    inside = Path("tests", *path.parts[1:])
    return str(inside.with_name(f"test_{path.name}") if path.suffix else inside)


def configuration(package: str, command: str, seconds: float) -> str:
    """Return Cosmic Ray's configuration.

    Args:
        package: What to change.
        command: Runs its tests.
        seconds: After which a run of the tests counts as failed.
    """
    patterns = ", ".join(f"'{pattern}'" for pattern in LEFT_OUT)
    return f"""
[cosmic-ray]
module-path = '{package}'
timeout = {seconds:.0f}.0
excluded-modules = []
test-command = {json.dumps(command)}
distributor.name = 'local'

[cosmic-ray.filters.operators-filter]
exclude-operators = [{patterns}]
"""


def copy_tree() -> None:
    """Copy the working tree, without what git ignores, into the place for mutants."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    shutil.rmtree(TREE, ignore_errors=True)
    for name in filter(None, names.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (TREE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, TREE / name)


def run(program: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program in the copy, whose modules are then the ones that are imported."""
    # Compiled files are told apart by seconds and size: a mutant would be mistaken for the next.
    variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(TREE)}
    return subprocess.run(program, cwd=TREE, env=variables, text=True, **options)


def cosmic_ray(command: str, *arguments: str) -> str:
    """Run one of Cosmic Ray's commands, and return what it prints."""
    done = run([str(PLACE / "bin" / command), *arguments], stdout=subprocess.PIPE)
    if done.returncode:
        sys.exit(f"{command} failed:\n{done.stdout}")
    return done.stdout


def main(arguments: list[str]) -> None:
    """Try all mutants of a package and print those that live."""
    package = arguments[0].rstrip("/") if arguments else ""
    if not package.startswith("spikeformer/") or not (REPOSITORY / package).exists():
        sys.exit("name a package or a module: make mutants PACKAGE=spikeformer/metrics")
    tests = tests_of(package)
    if not (REPOSITORY / tests).exists():
        sys.exit(f"{package} has no tests of its own in {tests}")
    copy_tree()
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", tests]
    start = time.monotonic()
    if run(command).returncode:
        sys.exit(f"{tests} fails without any fault planted")
    seconds = time.monotonic() - start
    config, session = str(PLACE / "config.toml"), str(PLACE / "session.sqlite")
    Path(session).unlink(missing_ok=True)
    limit = max(30.0, 5 * seconds)
    Path(config).write_text(configuration(package, shlex.join(command), limit), encoding="utf-8")
    cosmic_ray("cosmic-ray", "init", config, session)
    cosmic_ray("cr-filter-operators", session, config)
    counts = dict(re.findall(r"(total jobs|complete): (\d+)", cosmic_ray("cr-report", session)))
    count = int(counts["total jobs"]) - int(counts.get("complete", 0))
    print(f"{count} mutants, at {seconds:.0f} s each or less", flush=True)
    cosmic_ray("cosmic-ray", "exec", config, session)
    print(cosmic_ray("cr-report", "--surviving-only", "--show-diff", session))


if __name__ == "__main__":
    main(sys.argv[1:])
