"""`spikeformer COMMAND`: what each word stands for, and what is said of a wrong one."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from spikeformer.cli import main
from spikeformer.cli.commands import COMMANDS, as_overrides, overview
from spikeformer.cli.paths import quoted
from spikeformer.error_handling import ConfigurationError
from spikeformer.i18n import use_locale


@pytest.fixture
def run(tmp_path):
    """A run folder whose path has what a shell and Hydra take for their own."""
    folder = tmp_path / "it's a=1, b"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").touch()
    return folder


@pytest.mark.parametrize("name", ["evaluate", "predict", "deploy"])
def test_as_overrides_of_a_run(name, run):
    pipeline, checkpoint, rest = as_overrides([name, str(run), "seed=3"])
    assert (pipeline, rest) == (f"pipeline={name}", "seed=3")
    override = OverridesParser.create().parse_override(checkpoint)
    assert override.value() == str(run / "checkpoints" / "last.ckpt")


def test_as_overrides_of_a_checkpoint_and_of_a_model(run):
    file = run / "checkpoints" / "last.ckpt"
    assert as_overrides(["evaluate", str(file)])[1] == f"checkpoint={quoted(str(file))}"
    assert as_overrides(["convert", "outputs/bert", "data=sst2"]) == [
        "pipeline=convert",
        "model.pretrained='outputs/bert'",
        "data=sst2",
    ]


def test_train_is_what_no_command_is():
    assert (
        as_overrides(["train", "neuron=plif"]) == as_overrides(["neuron=plif"]) == ["neuron=plif"]
    )


@pytest.mark.parametrize(
    "arguments", [["evaluate"], ["deploy", "hardware=loihi2"], ["predict", "-m"]]
)
def test_a_command_without_its_run(arguments):
    with pytest.raises(ConfigurationError, match=f"{arguments[0]} needs RUN first, as in"):
        as_overrides(arguments)


def test_a_run_without_weights(tmp_path):
    with pytest.raises(ConfigurationError, match=r"holds no trained weights.*last\.ckpt"):
        as_overrides(["evaluate", str(tmp_path)])


def test_a_run_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match="nowhere to be a run folder, a saved network"):
        as_overrides(["evaluate", str(tmp_path / "nowhere")])


def test_an_unknown_word_names_the_nearest_command():
    with pytest.raises(ConfigurationError, match=r"reprot is no command(.|\n)*mean report\?"):
        as_overrides(["reprot", "outputs/x"])


@pytest.mark.parametrize("locale", ["en", "ar", "ja"])
def test_overview_lists_every_command(locale):
    with use_locale(locale):
        lines = overview().splitlines()
    assert [line.split()[0] for line in lines[2:-2]] == list(COMMANDS)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "train"])
def test_each_command_has_help(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["spikeformer", name, "--help"])
    with suppress(SystemExit):  # argparse's way to end
        main()
    assert f"spikeformer {name}" in capsys.readouterr().out


def test_the_list_needs_none_of_what_the_commands_do():
    code = "import sys; sys.argv = ['spikeformer']; from spikeformer.cli import main; main(); "
    others = {"torch", "spikeformer.config.schema", "spikeformer.compliance"}
    code += f"sys.exit(bool({others} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "deploy" in done.stdout


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "train"])
def test_help_has_an_example(name, capsys):
    with suppress(SystemExit):
        as_overrides([name, "--help"])
    assert f"\n  spikeformer {name}" in capsys.readouterr().out
