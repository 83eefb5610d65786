"""The tests lie where the package's parts lie, so that a part's test is found by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import REPOSITORY

PACKAGE, TESTS = REPOSITORY / "spikeformer", REPOSITORY / "tests"
OF_NO_PACKAGE = {"bench", "configs", "docs", "integration", "scripts"}
"""Folders of tests of what lies outside the package, or of many of its parts at once."""


def folders(root: Path, pattern: str) -> list[str]:
    """Return the folders below `root` that hold such files, as paths relative to it."""
    return sorted({str(path.parent.relative_to(root)) for path in root.rglob(pattern)} - {"."})


PARTS = [folder for folder in folders(PACKAGE, "*.py") if Path(folder).name != "worker"]


@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_the_package_has_its_tests(part):
    """A folder of the package has a folder of tests, or a file named after it."""
    place = TESTS / part
    named = [*place.glob("test_*.py"), *place.parent.glob(f"test_{place.name}*.py")]
    assert named or any(place.rglob("test_*.py")), f"no tests in {place}, no test_{place.name}*.py"


@pytest.mark.parametrize("folder", folders(TESTS, "test_*.py"))
def test_every_folder_of_tests_is_that_of_a_part(folder):
    assert folder.split("/")[0] in OF_NO_PACKAGE or (PACKAGE / folder).is_dir()


@pytest.mark.parametrize("file", sorted(PACKAGE.glob("*.py")), ids=lambda file: file.stem)
def test_every_module_at_the_top_has_its_test(file):
    if file.stem in ("__init__", "__main__"):
        return
    assert list(TESTS.glob(f"**/test_{file.stem}*.py"))
