from __future__ import annotations

import pytest

from spikeformer.cli.resume import with_resumed_overrides
from spikeformer.error_handling import ConfigurationError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "overrides.yaml").write_text("- seed=3\n- data=fsdd\n- +extra=1\n")
    return tmp_path


def test_saved_overrides_come_first_and_new_ones_win(folder):
    arguments = [f"pipeline.resume={folder}", "seed=4", "trainer.max_epochs=9"]
    assert with_resumed_overrides(arguments) == [
        "data=fsdd",
        "+extra=1",
        *arguments,
        f"hydra.run.dir='{folder}'",
    ]


def test_what_was_added_can_be_taken_away(folder):
    arguments = [f"pipeline.resume={folder}", "~extra"]
    assert with_resumed_overrides(arguments)[2:5] == ["+extra=1", *arguments]


@pytest.mark.parametrize("arguments", [[], ["seed=1"], ["pipeline.resume=null"]])
def test_without_resume_nothing_changes(arguments):
    assert with_resumed_overrides(arguments) == arguments


def test_broken_overrides(folder):
    (folder / "overrides.yaml").write_text("- [unclosed")
    with pytest.raises(ConfigurationError, match=r"overrides\.yaml"):
        with_resumed_overrides([f"pipeline.resume={folder}"])


@pytest.fixture
def sweep(tmp_path):
    (tmp_path / "sweep.yaml").write_text(
        "- hydra/launcher=joblib\n- seed=1,2\n- trainer.max_epochs=3\n"
    )
    return tmp_path


def test_a_sweep_gets_its_command_line_back(sweep):
    arguments = ["--config-dir", "mine", "--multirun", f"pipeline.resume={sweep}"]
    assert with_resumed_overrides([*arguments, "trainer.max_epochs=9"]) == [
        *arguments[:3],
        "hydra/launcher=joblib",
        "seed=1,2",
        "trainer.max_epochs=9",
        f"hydra.sweep.dir='{sweep}'",
    ]


@pytest.mark.parametrize("new", ["seed=3", "seed=1,2,3", "neuron=lif,plif"])
def test_a_resumed_sweep_keeps_its_children(sweep, new):
    with pytest.raises(ConfigurationError, match="keeps its children"):
        with_resumed_overrides(["-m", f"pipeline.resume={sweep}", new])


def test_sweeps_and_runs_are_told_apart(folder, sweep):
    with pytest.raises(ConfigurationError, match="leave --multirun out"):
        with_resumed_overrides(["-m", f"pipeline.resume={folder}"])
    (folder / "overrides.yaml").unlink()
    with pytest.raises(ConfigurationError, match="put --multirun before"):
        with_resumed_overrides([f"pipeline.resume={sweep}"])
    (sweep / "sweep.yaml").unlink()
    with pytest.raises(ConfigurationError, match="no sweep folder"):
        with_resumed_overrides(["-m", f"pipeline.resume={sweep}"])
