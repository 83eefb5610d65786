"""The documentation is true: its code runs, its commands compose, its links lead somewhere."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shlex
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir

from spikeformer.cli.config import config_folder, register_resolvers
from spikeformer.cli.privacy import make_parser
from spikeformer.validation import CHECKS
from tests.docs import pages
from tests.docs.pages import PAGES, REPOSITORY

PACKAGE = REPOSITORY / "spikeformer"
DOCS = REPOSITORY / "docs"
MADE_ELSEWHERE = {DOCS / "assets" / "report.png"}
"""Pictures that a person adds after a run."""


def that_have(kind):
    found = [page for page in PAGES if kind(page)]
    return pytest.mark.parametrize("page", found, ids=str)


def runnable(page):
    return [b for b in pages.blocks(page) if b.language == "python" and b.runs]


def test_pages_are_found():
    assert Path("README.md") in PAGES
    assert len(PAGES) > 30
    assert sum(len(runnable(page)) for page in PAGES) > 40
    assert sum(len(pages.commands(page)) for page in PAGES) > 40


@pytest.fixture
def shipped_checks(monkeypatch):
    """A page that adds a check of its own adds it for itself alone."""
    for subject, checks in CHECKS.items():
        monkeypatch.setitem(CHECKS, subject, list(checks))


@that_have(runnable)
@pytest.mark.usefixtures("shipped_checks")
def test_python_runs(page, workplace):
    written = pages.write_files(page, workplace)
    namespace = {"__name__": "docs"}
    for block in runnable(page):
        if block.title is None:
            source = "\n" * (block.line - 1) + block.body
            exec(compile(source, str(page), "exec"), namespace)
    for file in written:
        if file.name.startswith("test_"):
            module: dict = {"__name__": file.stem, "__file__": str(file)}
            exec(compile(file.read_text(), str(file), "exec"), module)
            tests = [value for name, value in module.items() if name.startswith("test_")]
            assert tests
            for test in tests:
                test()


@pytest.fixture(scope="module")
def composed():
    """Commands that compose with the groups of `conf/` alone, whichever page has them."""
    return set()


@that_have(pages.commands)
def test_commands_compose(page, workplace, composed):
    written = pages.write_files(page, workplace)
    for file in written:
        if file.name == "schema.py":
            importlib.import_module(f"{file.parent.name}.schema")
    register_resolvers()
    for command in pages.commands(page):
        search = []
        if command.config_dir is not None:
            search = [f"hydra.searchpath=[file://{workplace / command.config_dir}]"]
        for overrides in command.overrides:
            if tuple(overrides) in composed:
                continue
            with initialize_config_dir(config_folder(), version_base="1.3"):
                assert compose("train", overrides=[*search, *overrides]), command.text
            if not written:
                composed.add(tuple(overrides))


def test_commands_on_consents_are_understood():
    text = (DOCS / "how-to" / "privacy.md").read_text()
    lines = re.findall(r"^spikeformer privacy (.+)$", text, re.MULTILINE)
    assert len(lines) > 10
    for line in lines:
        make_parser().parse_args(shlex.split(line))


@that_have(lambda page: pages.links(page))
def test_relative_links_lead_somewhere(page):
    folder = (REPOSITORY / page).parent
    for link in pages.links(page):
        if re.match(r"[a-z]+:", link) or link.startswith("#"):
            continue
        # A page's raw HTML is resolved against its folder in the built site.
        target = Path(os.path.normpath(folder / link.partition("#")[0]))
        assert target.exists() or target in MADE_ELSEWHERE, f"{page}: {link}"


@that_have(pages.names)
def test_names_exist(page):
    for name in sorted(pages.names(page)):
        parts, found = name.split("."), None
        for end in range(len(parts), 0, -1):
            try:
                found = importlib.import_module(".".join(parts[:end]))
            except ModuleNotFoundError:
                continue
            for attribute in parts[end:]:
                found = getattr(found, attribute)
            break
        assert found is not None, name


def test_every_public_package_has_an_api_page():
    public = [
        path.stem
        for path in PACKAGE.iterdir()
        if not path.name.startswith("_")
        and (path.suffix == ".py" or (path / "__init__.py").exists())
    ]
    assert len(public) > 10
    ops = [f"ops.{path.parent.name}" for path in PACKAGE.glob("ops/*/__init__.py")]
    for name in [*public, *ops]:
        candidates = [
            DOCS / "api" / f"{name.replace('.', '/')}.md",
            DOCS / "api" / name.replace(".", "/") / "index.md",
        ]
        page = next((path for path in candidates if path.exists()), None)
        assert page is not None, f"spikeformer.{name} has no page in docs/api"
        assert f"::: spikeformer.{name}\n" in page.read_text(), page


def test_every_page_is_in_the_navigation():
    settings = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text())

    def leaves(node):
        if isinstance(node, str):
            yield node
        elif isinstance(node, dict):
            for value in node.values():
                yield from leaves(value)
        else:
            for item in node:
                yield from leaves(item)

    listed = set(leaves(settings["nav"]))
    files = [*DOCS.rglob("*.md"), *DOCS.glob("notebooks/*.ipynb")]
    assert listed == {str(file.relative_to(DOCS)) for file in files}


def test_quoted_messages_are_those_of_the_code():
    """Headings in code on the troubleshooting page are fragments of messages in the package."""
    texts = [
        node.value
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    catalogues = PACKAGE / "i18n" / "catalogues" / "en"
    texts += [" ".join(file.read_text().split()) for file in catalogues.glob("*.yaml")]
    page = (DOCS / "how-to" / "troubleshooting.md").read_text()
    quoted = re.findall(r"^### `(.+)`$", page, re.MULTILINE)
    assert len(quoted) > 8
    for fragment in quoted:
        assert any(fragment in text for text in texts), fragment
