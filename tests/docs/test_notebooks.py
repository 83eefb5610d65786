"""The notebooks of the documentation run from top to bottom, and carry no results of an old run."""

from __future__ import annotations

import json
import logging
import warnings

import pytest

from tests.docs.pages import REPOSITORY

FOLDER = REPOSITORY / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == ["convert", "energy", "train"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_in_the_navigation_without_outputs(path):
    navigation = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    assert f"notebooks/{path.name}" in navigation
    assert all(not cell.get("outputs") for cell in cells(path))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("warnings.filters", list(warnings.filters))  # a notebook changes them
    monkeypatch.setattr(logging.root.manager, "disable", logging.root.manager.disable)
    namespace = {"__name__": "notebook"}
    for number, cell in enumerate(cells(path)):
        if cell["cell_type"] == "code":
            source = "".join(line for line in cell["source"] if not line.startswith("%"))
            exec(compile(source, f"{path.name}, cell {number}", "exec"), namespace)
    check = {"train": trained, "convert": converted, "energy": counted}[path.stem]
    check(namespace)


def trained(names):
    """It has learnt something: ten classes by chance are 10 %."""
    assert names["accuracy"][-1] > 0.5
    assert (names["predicted"] == names["labels"]).float().mean() > 0.9


def converted(names):
    found = names["found"]
    assert found.original_accuracy > 0.9
    assert found.last.accuracy > found.original_accuracy - 0.05
    assert [int(value) for value in names["on_chip"]] == names["here"].tolist()


def counted(names):
    low, likely, high = (names[name] for name in ("low", "likely", "high"))
    assert 0 < low <= likely <= high
    assert 0 < names["metrics"]["firing_rate"] < 1
