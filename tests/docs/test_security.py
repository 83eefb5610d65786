"""No requirement of the package lets in a version that SECURITY.md lists as affected."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tests.docs.pages import REPOSITORY

ROW = re.compile(r"^\| ([\w-]+) \| (<[\d.]+) \| ", re.MULTILINE)
AFFECTED = ROW.findall((REPOSITORY / "SECURITY.md").read_text(encoding="utf-8"))


def requirements(package: str) -> list[Requirement]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    named = [Requirement(text) for text in sum(extras, project["dependencies"])]
    return [requirement for requirement in named if requirement.name.lower() == package]


def test_the_table_lists_the_packages_with_advisories():
    assert {"lightning", "transformers", "torch"} <= {package for package, _ in AFFECTED}


@pytest.mark.parametrize(("package", "affected"), AFFECTED)
def test_affected_versions_are_not_allowed(package, affected):
    found = requirements(package)
    assert found, f"{package} is no direct dependency"
    fixed = Version(affected[1:])
    for requirement in found:
        floors = [s for s in requirement.specifier if s.operator in (">=", "==", "~=")]
        assert any(Version(s.version) >= fixed for s in floors), str(requirement)


@pytest.mark.parametrize(("package", "affected"), AFFECTED)
def test_affected_versions_are_not_installed(package, affected):
    try:
        installed = version(package)
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    assert installed not in SpecifierSet(affected, prereleases=True)
