"""Where everything lies in a run folder: as documented, and where a run writes it."""

from __future__ import annotations

import re
from pathlib import Path

from spikeformer.runs import RunFolder
from tests.commands import REPOSITORY
from tests.reporting.synthetic import write_run

PAGE = REPOSITORY / "docs" / "concepts" / "pipeline-and-runs.md"


def test_run_folder_has_every_documented_file():
    table = PAGE.read_text(encoding="utf-8").partition("## The run folder")[2].partition("\n\n")[2]
    names = [name for row in table.splitlines()[2:] for name in re.findall(r"`([\w./]+)`", row)]
    files = RunFolder(Path("run"))
    for place in (files.config, files.overrides, files.environment, files.manifest, files.inputs,
                  files.history, files.report, files.figures, files.hardware,
                  files.checkpoint("last"), files.result("test.json")):  # fmt: skip
        assert {str(place.relative_to("run")), f"{place.relative_to('run')}/"} & set(names), place


def test_run_folder_has_a_place_of_its_own_for_everything():
    files = RunFolder(Path("run"))
    properties = [name for name, value in vars(RunFolder).items() if isinstance(value, property)]
    paths = [getattr(files, name) for name in properties]
    paths += [files.checkpoint("last"), files.checkpoint("best"), files.result("test.json")]
    assert len(set(paths)) == len(paths) > 10
    assert all(path.is_relative_to("run") for path in paths)


def test_run_folder_finds_what_a_run_wrote(tmp_path):
    files = RunFolder(write_run(tmp_path))
    for path in (files.config, files.overrides, files.environment, files.manifest, files.history):
        assert path.is_file(), path
    assert files.result("test.json").is_file()
