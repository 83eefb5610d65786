"""`spikeformer doctor` tells what is there and what is missing."""

from __future__ import annotations

import json
import sys

import pytest

from spikeformer.cli import main


def test_the_table(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["spikeformer", "doctor"])
    main()
    text = capsys.readouterr().out
    assert "Memory" in text
    assert "Loihi 2 (hardware=loihi2)" in text
    assert " ready " in text


def test_json(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["spikeformer", "doctor", "--json"])
    main()
    content = json.loads(capsys.readouterr().out)
    assert content["platform"]["cores"] >= 1
    assert {"name", "ready", "detail", "remedy"} == set(content["features"][0])


def test_an_unknown_argument(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["spikeformer", "doctor", "--everything"])
    with pytest.raises(SystemExit):
        main()
    assert "unrecognized arguments" in capsys.readouterr().err
