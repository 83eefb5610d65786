"""Stages run in order, are skipped when nothing changed, and fail without loss."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass, field
from types import SimpleNamespace

import lightning as L
import pytest
from lightning.pytorch.demos.boring_classes import BoringModel
from omegaconf import OmegaConf

from spikeformer.data import TextDataModule
from spikeformer.error_handling import Interrupted, interruptible
from spikeformer.files import KnownFiles
from spikeformer.pipeline import Manifest, Run, Stage
from spikeformer.pipeline.execute import execute, file_contents
from tests.training.toys import QUIET


@dataclass
class Note(Stage):
    """Writes a file and counts how often it did so."""

    text: str
    name: str
    config_keys: tuple[str, ...] = ("data",)
    fails: bool = False
    calls: list[str] = field(default_factory=list)

    def run(self, run):
        self.calls.append(self.text)
        if self.fails:
            raise ValueError("no luck")
        (run.folder / self.name).write_text(self.text)
        return {"length": len(self.text)}

    def outputs(self, run):
        return [run.folder / self.name]

    def settings(self):
        return {"text": self.text}


@pytest.fixture
def run_stages(tmp_path):
    def go(*stages, contents=None, **config):
        config = OmegaConf.create({"data": {"batch_size": 1}, "other": 1, **config})
        manifest = Manifest.open(tmp_path, "run")
        parts = SimpleNamespace(trainer=SimpleNamespace(is_global_zero=True))
        run = Run(tmp_path, config, parts, manifest, dict(manifest.stages), contents or {})
        upstream = ""
        for stage in stages:
            upstream = execute(stage, run, upstream)
        return manifest

    return go


def test_second_time_nothing_runs(run_stages, capsys):
    run_stages(Note("one", "a"), Note("two", "b"))
    capsys.readouterr()
    first, second = Note("one", "a"), Note("two", "b")
    run_stages(first, second)
    assert first.calls == second.calls == []
    assert capsys.readouterr().out.count("unchanged") == 2


def test_what_a_stage_does_not_read_does_not_matter(run_stages):
    run_stages(Note("one", "a"))
    again = Note("one", "a")
    run_stages(again, other=2)
    assert again.calls == []


def test_how_data_are_read_does_not_matter(run_stages):
    run_stages(Note("one", "a"), data={"batch_size": 1, "num_workers": 4})
    again = Note("one", "a")
    run_stages(again, data={"batch_size": 1, "num_workers": 0})
    assert again.calls == []


@pytest.mark.parametrize("change", [{"data": {"batch_size": 2}}, {}])
def test_a_change_runs_the_stage_and_all_after_it(run_stages, change):
    run_stages(Note("one", "a"), Note("two", "b"))
    first, second = Note("one" if change else "other text", "a"), Note("two", "b")
    run_stages(first, second, **change)
    assert len(first.calls) == len(second.calls) == 1


class Asked(Stage):
    """Gets a signal while Lightning works, which then exits as if nothing had been said."""

    name = "asked"

    def run(self, run):
        model, trainer = BoringModel(), L.Trainer(**QUIET)
        model.on_test_start = lambda: signal.raise_signal(signal.SIGTERM)
        trainer.test(model)


def test_other_content_of_the_files_runs_the_stage_again(run_stages):
    run_stages(Note("one", "a"), Note("two", "b", config_keys=("other",)), contents={"data": "x"})
    first = Note("one", "a")
    run_stages(first, contents={"data": "x"})
    again = Note("one", "a")
    run_stages(again, contents={"data": "y"})
    assert (first.calls, again.calls) == ([], ["one"])


def test_the_files_behind_a_configuration(tmp_path):
    """Data, checkpoint and pretrained model are known by what is in them."""
    rows, weights, model = tmp_path / "a.csv", tmp_path / "last.ckpt", tmp_path / "model"
    model.mkdir()
    for file in (rows, weights, model / "config.json"):
        file.write_text("text,label\n")
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    data = TextDataModule(path=str(rows), tokenizer=str(tokens))
    config = OmegaConf.create(
        {
            "checkpoint": str(weights),
            "model": {"pretrained": str(model)},
            "report": {"baseline": None},
        }
    )

    def contents():
        return file_contents(config, data, KnownFiles(tmp_path / "inputs.json"))

    before = contents()
    assert contents() == before
    for key, file in {
        "checkpoint": weights,
        "model": model / "config.json",
        "data": rows,
    }.items():
        file.write_text("other")
        changed = {name for name, value in contents().items() if value != before[name]}
        assert changed == {key}
        before = contents()
    (tokens / "tokenizer.json").write_text("{}")
    assert contents()["data"] != before["data"]


def test_an_interruption_stays_one(run_stages, tmp_path):
    with pytest.raises(Interrupted, match="stopped by SIGTERM"), interruptible():
        run_stages(Asked())
    record = Manifest.open(tmp_path, "run").stages["asked"]
    assert (record.status, record.error) == ("failed", "Interrupted: stopped by SIGTERM")


def test_a_failure_keeps_what_came_before(run_stages, tmp_path):
    with pytest.raises(ValueError, match="no luck"):
        run_stages(Note("one", "a"), Note("two", "b", fails=True), Note("three", "c"))
    stages = json.loads((tmp_path / "manifest.json").read_text())["stages"]
    assert stages["a"]["status"] == "done"
    assert stages["b"]["status"] == "failed"
    assert stages["b"]["error"] == "ValueError: no luck"
    assert "c" not in stages
    first, second, third = Note("one", "a"), Note("two", "b"), Note("three", "c")
    run_stages(first, second, third)
    assert first.calls == []
    assert second.calls == ["two"]
    assert third.calls == ["three"]


def test_a_failures_text_shows_no_key(run_stages, tmp_path):
    class Leaks(Note):
        def run(self, run):
            raise ValueError("refused: https://me:pw@example.org api_key=abcdef")

    with pytest.raises(ValueError, match="refused"):
        run_stages(Leaks("x", "leaks"))
    written = (tmp_path / "manifest.json").read_text()
    assert json.loads(written)["stages"]["leaks"]["error"] == (
        "ValueError: refused: https://***@example.org api_key=***"
    )


def test_a_killed_stage_is_marked_as_running(run_stages, tmp_path):
    seen = []

    class Look(Note):
        def run(self, run):
            seen.append(json.loads((tmp_path / "manifest.json").read_text())["stages"])
            return {}

        def outputs(self, run):
            return []

    run_stages(Look("x", "look"))
    assert seen[0]["look"]["status"] == "running"
