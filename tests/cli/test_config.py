"""The help text: every group of `conf/`, the option in force, and every key."""

from __future__ import annotations

import re

from spikeformer.cli.config import compose, help_text
from tests.commands import CONF, options


def groups_of(text):
    """Return the options that the help text shows, by group."""
    lines = text[: text.index("Keys with their values")]
    found = re.findall(r"^  (\w+) .*\n((?:    +[^:=\n]+\n)+)", lines, re.MULTILINE)
    return {group: re.split(r",\s+", listed.strip()) for group, listed in found}


def test_help_text_shows_every_group_and_option():
    shown = groups_of(help_text(["--help"]))
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    assert set(shown) == groups - {"hydra", "local", "paths"}
    for group, listed in shown.items():
        assert [name.removesuffix(" *") for name in listed] == options(group), group
    assert "digits *" in shown["data"]
    assert "none *" in shown["conversion"]


def test_help_text_marks_what_overrides_choose():
    text = help_text(["--help", "neuron=plif", "timesteps=7"])
    assert "plif *" in groups_of(text)["neuron"]
    assert "\ntimesteps: 7\n" in text


def test_help_text_fits_a_terminal():
    text = help_text(["--help"])
    assert max(map(len, text[: text.index("Keys with")].splitlines())) <= 100
    assert "schema/" not in text


def test_a_pretrained_model_brings_its_own_vocabulary():
    text = ["data=text_file", "data.path=book.txt"]
    assert compose(*text).data.vocab_size == 2000
    own = compose("pipeline=convert", *text, "model.pretrained=folder")
    assert own.data.vocab_size is None
    assert own.data.tokenizer == "folder"
