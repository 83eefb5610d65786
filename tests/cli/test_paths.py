"""Paths with any signs in them reach the configuration as they are."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from spikeformer.cli.config import compose
from spikeformer.cli.paths import path_given, quoted, with_quoted_paths
from spikeformer.cli.resume import with_resumed_overrides

NAMES = [
    "epoch=3-step=100.ckpt",
    "my best one.ckpt",
    "it's.ckpt",
    'the "last".ckpt',
    "a,b.ckpt",
    "[1].ckpt",
    "{a:b}.ckpt",
    "(1) copy.ckpt",
    "back\\slash.ckpt",
    "end\\",
    "null",
    "1e3",
    "größe.ckpt",
    "a#b.ckpt",
    "~x",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_name_is_found(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).touch()
    for path in (name, str(tmp_path / name)):
        arguments = with_quoted_paths([f"checkpoint={path}"])
        assert path_given(arguments, "checkpoint") == path
        assert with_quoted_paths(arguments) == arguments


def test_such_names_reach_the_configuration(tmp_path):
    names = {"checkpoint": "${seed}", "data.path": "it's a=b, \\", "pipeline.resume": '"1e3"\\'}
    for name in names.values():
        (tmp_path / name).touch()
    given = [f"{key}={tmp_path / name}" for key, name in names.items()]
    config = compose("data=csv_text", *with_quoted_paths(given))
    for key, name in names.items():
        assert OmegaConf.select(config, key) == str(tmp_path / name)


@pytest.mark.parametrize(
    "argument", ["checkpoint=a,b", "checkpoint=null", "checkpoint='x y'", "seed=1", "data=digits"]
)
def test_what_hydra_reads_rightly_stays(argument):
    assert with_quoted_paths([argument]) == [argument]


def test_a_path_that_is_not_there_is_no_error_of_grammar():
    assert with_quoted_paths(["data.path=/no/such=1"]) == ["data.path='/no/such=1'"]


@pytest.mark.parametrize("name", ["a b", "a=b", "it's", 'say "x"', "a,b"])
def test_a_run_folder_of_any_name_is_resumed(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "overrides.yaml").write_text("- seed=3\n")
    arguments = with_resumed_overrides(with_quoted_paths([f"pipeline.resume={folder}"]))
    assert arguments[0] == "seed=3"
    assert arguments[-1] == f"hydra.run.dir={quoted(str(folder))}"
    assert path_given(arguments, "pipeline.resume") == str(folder)
