"""`spikeformer generate`: a small language model, trained on a text, goes on with it."""

from __future__ import annotations

import pytest

from spikeformer.cli import compose
from spikeformer.cli.generate import generate
from spikeformer.error_handling import ConfigurationError, SpikingDynamicsError
from spikeformer.pipeline import run_pipeline

SENTENCE = "the cat sat on the mat and the dog ran to the door"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("book")
    (folder / "book.txt").write_text("\n".join([SENTENCE] * 120))
    overrides = [
        "data=text_file",
        f"data.path={folder / 'book.txt'}",
        "data.max_length=24",
        "data.vocab_size=300",
        f"data.cache_dir={folder}",
        "model.d_model=24",
        "model.nhead=2",
        "model.num_layers=1",
        "model.dropout=0.0",
        "timesteps=2",
        "optimizer.lr=0.02",
        "trainer.max_epochs=6",
        "logger=none",
        "callbacks=none",
        "profiler=none",
        "validation=none",
        "pipeline.stages=[{_target_: spikeformer.pipeline.Fit}]",
    ]
    run_pipeline(compose(*overrides), folder / "run")
    return folder / "run"


def said(capsys, *arguments):
    capsys.readouterr()
    assert generate([str(word) for word in arguments]) == 0
    return capsys.readouterr().out.rstrip("\n")


def test_it_goes_on_with_the_text_it_has_learnt(run, capsys):
    text = said(capsys, run, "--prompt", "the cat sat", "--tokens", "6")
    assert text.startswith("the cat sat on the mat")


def test_mistakes_are_told_in_one_line(run, tmp_path):
    with pytest.raises(ConfigurationError, match="no tokens"):
        generate([str(run), "--prompt", ""])
    with pytest.raises(ConfigurationError, match="keeps the timesteps"):
        generate([str(run), "--prompt", "the", "--timesteps", "4"])
    with pytest.raises(SpikingDynamicsError, match="max_length=24"):
        generate([str(run), "--prompt", "the", "--tokens", "40"])
