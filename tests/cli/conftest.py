from __future__ import annotations

import logging
import sys

import pytest

from spikeformer.cli import main
from spikeformer.i18n import locales
from spikeformer.ops import dispatch


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """Run the command line in this process; return its status, errors and what it left."""
    # Hydra configures logging for a process of its own, and a command line chooses its locale.
    handlers, level = logging.root.handlers[:], logging.root.level
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(locales, "_default", None)

    # The tests' environment has Triton's interpreter, which a user's has not.
    monkeypatch.setattr(dispatch, "_TRITON_INTERPRETS", False)

    def run(*arguments):
        outputs = tmp_path / "outputs"
        where = [f"paths.output_dir={outputs}", "logger=none", "trainer.accelerator=cpu"]
        # Flags come before all overrides.
        ordered = sorted([*where, *arguments], key=lambda word: not word.startswith("--"))
        monkeypatch.setattr(sys, "argv", ["train.py", *ordered])
        with pytest.raises(SystemExit) as stop:
            main()
        left = list(outputs.rglob("*")) if outputs.exists() else []
        return stop.value.code, capsys.readouterr().err, left

    yield run
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
