"""A result in its file and back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest

from spikeformer.runs import ResultsError, RunFolder
from spikeformer.runs.results import Result


@dataclass(frozen=True)
class Inner:
    low: float
    pair: tuple[int, str] | None = None


@dataclass(frozen=True)
class Outer(Result):
    file: ClassVar[str] = "results/outer.json"
    version: ClassVar[int] = 3

    numbers_by_name: dict[str, float] = field(default_factory=dict)
    inner: list[Inner] = field(default_factory=list)
    remark: str | None = None


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


def test_result_comes_back_as_it_was_saved(folder):
    names = {"a/b": 1.0, "": np.float32(0.5), "日本": np.int64(3), "inf": float("-inf")}
    saved = Outer(names, [Inner(0.25, (1, "<x>")), Inner(1e-300)], None)
    saved.save(folder)
    assert Outer.load(folder) == saved


def test_result_keeps_what_is_not_a_number(folder):
    Outer({"nan": float("nan")}).save(folder)
    found = Outer.load(folder)
    assert found is not None
    assert np.isnan(found.numbers_by_name["nan"])


def test_result_is_none_without_its_file(folder):
    assert Outer.load(folder) is None


@pytest.mark.parametrize("version", [None, 2, 4, "3", [3]])
def test_result_of_another_version_is_refused(folder, version):
    Outer().save(folder)
    path = folder.path / Outer.file
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": version}))
    with pytest.raises(ResultsError, match=r"outer\.json to be of version 3.*Repeat the stage"):
        Outer.load(folder)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"numbers_by_name": [1]}, "object.*numbers_by_name"),
        ({"numbers_by_name": {"a": "good"}}, "float.*numbers_by_name"),
        ({"inner": [{}]}, "missing required field `low`.*inner"),
        ({"remark": 1}, "str.*remark"),
    ],
)
def test_result_names_the_file_and_what_is_wrong_in_it(folder, content, reason):
    Outer().save(folder)
    (folder.path / Outer.file).write_text(json.dumps({"version": 3, **content}))
    with pytest.raises(ResultsError, match=rf"outer\.json.*{reason}"):
        Outer.load(folder)


def test_result_refuses_to_save_what_no_file_holds(folder):
    with pytest.raises(TypeError, match="plain values"):
        Outer({"a": object()}).save(folder)  # type: ignore[dict-item]
