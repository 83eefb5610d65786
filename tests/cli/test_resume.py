from __future__ import annotations

import json

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


@pytest.mark.parametrize("flags", [["--cfg", "job"], ["--info"], ["-c", "hydra"]])
@pytest.mark.parametrize("first", [False, True])
def test_flags_of_hydra_stay_beside_the_overrides(folder, flags, first):
    own = [f"pipeline.resume={folder}", "seed=4"]
    arguments = [*flags, *own] if first else [own[0], *flags, own[1]]
    expected = ["data=fsdd", "+extra=1", *own, f"hydra.run.dir='{folder}'", *flags]
    assert with_resumed_overrides(arguments) == expected


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


BEYOND = [
    "trusted_packages=[evil]",
    "+trusted_packages.0=evil",
    "hydra.callbacks.x._target_=os.system",
    "+hydra.callbacks.x={_target_: os.system, command: x}",
    "hydra/launcher={_target_: os.system}",
    "hydra.searchpath=[file:///evil]",
    "hydra.job.env_set.LD_PRELOAD=/evil.so",
    "hydra.launcher.setup=[rm]",
    "hydra.sweeper.sampler._target_=os.system",
    "hydra.sweeper.storage=sqlite:////victim.db",
    "hydra.sweep.dir=/victim",
    "hydra.run.dir=/victim",
    "--config-dir=/evil",
    "name=${oc.env:TOKEN}",
    "name=${new_folder:/victim}",
    "logger.wandb.api_key=***",
]


@pytest.mark.parametrize("override", BEYOND)
@pytest.mark.parametrize(("file", "flags"), [("overrides.yaml", []), ("sweep.yaml", ["-m"])])
def test_a_file_does_not_reach_beyond_its_run(tmp_path, override, file, flags):
    (tmp_path / file).write_text(json.dumps(["seed=1", override]))
    arguments = [*flags, f"pipeline.resume={tmp_path}"]
    with pytest.raises(ConfigurationError, match="not taken from a file"):
        with_resumed_overrides(arguments)
    if not override.startswith(("-", "hydra.run", "hydra.sweep.")):
        assert override in with_resumed_overrides([*arguments, override])


@pytest.mark.parametrize(
    "override",
    [
        "hydra/launcher=submitit_slurm",
        "hydra.launcher.partition=gpu-a",
        "hydra/sweeper/sampler=random",
        "hydra.sweeper.sampler.seed=3",
        "hydra.sweeper.n_trials=9",
        "hydra.sweeper.params.optimizer.lr=interval(0, 1)",
    ],
)
def test_choices_and_numbers_of_a_sweep_are_taken_from_its_file(tmp_path, override):
    (tmp_path / "sweep.yaml").write_text(json.dumps([override]))
    assert override in with_resumed_overrides(["-m", f"pipeline.resume={tmp_path}"])
