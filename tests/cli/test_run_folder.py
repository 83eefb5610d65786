"""What was there before a command stays, whatever goes wrong."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spikeformer.cli.run_folder import new_folder
from spikeformer.files import write_text
from tests.commands import SMALL

FIT = "pipeline.stages=[{_target_: spikeformer.pipeline.Fit}]"


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def occupied(tmp_path):
    """A folder with a person's files."""
    folder = tmp_path / "papers"
    for name in ("thesis.tex", "figures/a.pdf", ".git/HEAD", "run.log", "checkpoints/last.ckpt"):
        write_text(folder / name, f"the only copy of {name}")
    (folder / "empty").mkdir()
    return folder


@pytest.mark.parametrize("mistake", ["data.batch_size=0", "model.d_model=97", "loss=mse"])
def test_a_mistake_removes_nothing_that_was_there(command, occupied, mistake):
    before = contents(occupied)
    status, _, _ = command(f"hydra.run.dir={occupied}", mistake)
    assert status == 2
    assert {path: path.read_bytes()[: len(before[path])] for path in before} == before
    assert contents(occupied).keys() == before.keys()
    assert (occupied / "empty").is_dir()


def test_a_mistake_does_not_remove_the_working_directory(command, occupied, monkeypatch):
    monkeypatch.chdir(occupied)
    before = contents(occupied)
    status, _, _ = command("hydra.run.dir=.", "data.batch_size=0")
    assert status == 2
    assert contents(Path.cwd()).keys() == before.keys()


def test_a_run_that_lost_its_manifest_keeps_everything(command, tmp_path):
    run = tmp_path / "run"
    write_text(run / "overrides.yaml", "[]\n")
    write_text(run / "checkpoints" / "last.ckpt", "weights of a week")
    before = contents(run)
    status, _, _ = command(f"pipeline.resume={run}", "checkpoint=/none.ckpt")
    assert status == 2
    left = contents(run)
    assert {path: left.get(path) for path in before} == before


def test_a_mistake_leaves_no_folder_that_was_made_for_it(command, tmp_path):
    (tmp_path / "there").mkdir()
    folder = tmp_path / "there" / "a" / "b"
    assert command(f"hydra.run.dir={folder}", "data.batch_size=0")[0] == 2
    assert list((tmp_path / "there").iterdir()) == []
    (tmp_path / "outputs").mkdir()
    _, _, left = command("data.batch_size=0")
    assert left == []
    assert (tmp_path / "outputs").is_dir()


def test_an_empty_folder_that_was_there_stays(command, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    assert command(f"hydra.run.dir={folder}", "data.batch_size=0")[0] == 2
    assert folder.is_dir()
    assert list(folder.iterdir()) == []


def test_a_sweeps_child_removes_nothing_that_was_there(command, tmp_path):
    sweep = tmp_path / "sweep"
    write_text(sweep / "0" / "thesis.tex", "the only copy")
    write_text(sweep / "sweep.yaml", "program: train.py  # a person's")
    (sweep / "1").mkdir()
    with warnings.catch_warnings(record=True) as caught:  # logs that nobody closed warn as well
        warnings.simplefilter("always")
        status, _, _ = command("--multirun", "data.batch_size=0,-1,-2", f"hydra.sweep.dir={sweep}")
    assert status == 2
    assert any("sweep.yaml" in str(warning.message) for warning in caught)
    left = [str(path.relative_to(sweep)) for path in sorted(sweep.rglob("*"))]
    assert left == ["0", "0/thesis.tex", "1", "multirun.yaml", "sweep.yaml"]
    assert (sweep / "sweep.yaml").read_text().endswith("a person's")


def test_new_folder_is_nobody_elses(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: new_folder(str(tmp_path), "day", "run"), range(16)))
    assert len(set(folders)) == 16
    assert {folder.rsplit("/", 1)[1] for folder in folders} == {
        "run",
        *(f"run-{number}" for number in range(1, 16)),
    }


@pytest.mark.parametrize("name", ["../../victim", "a/b", "a\tb"])
def test_a_runs_name_leads_nowhere(command, tmp_path, name):
    for flags in ((), ("--multirun", "seed=1,2")):
        status, errors, left = command(*flags, f"name='{name}'")
        assert (status, left) == (2, [])
        assert "cannot be the name" in errors
    assert not list(tmp_path.rglob("victim*"))


def test_a_run_does_not_overwrite_what_no_run_wrote(command, tmp_path):
    folder = tmp_path / "project"
    for name in ("config.yaml", "metrics.csv", "checkpoints/last.ckpt"):
        write_text(folder / name, f"the only copy of {name}")
    before = contents(folder)
    status, errors, _ = command(*SMALL, FIT, f"hydra.run.dir={folder}")
    assert status == 2
    assert contents(folder) == before
    assert "config.yaml" in errors
    assert "manifest.json" in errors


def test_a_command_line_that_is_no_text_is_refused(command):
    status, errors, left = command("name=a\udcffb")
    assert (status, left) == (2, [])
    assert "Traceback" not in errors
