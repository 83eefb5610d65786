"""`spikeformer models`, and the names of networks in the place of runs."""

from __future__ import annotations

import json

from spikeformer.cli.checkpoint import with_checkpoints_overrides
from spikeformer.cli.commands import as_overrides
from spikeformer.cli.pretrained import models
from spikeformer.config import BUNDLED


def test_the_table_lists_every_network(capsys):
    assert models([]) == 0
    out = capsys.readouterr().out
    assert "digits" in out
    assert "spikeformer deploy digits" in out


def test_json(capsys):
    assert models(["--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["digits"]["settings"]["timesteps"] == 4


def test_a_name_stands_for_a_run():
    weights = BUNDLED / "digits" / "model.safetensors"
    overrides = as_overrides(["deploy", "digits", "hardware=simulation"])
    assert overrides == ["pipeline=deploy", f"checkpoint='{weights}'", "hardware=simulation"]
    added = with_checkpoints_overrides(overrides)
    assert {"data=digits", "model=spiking_vit", "model.num_layers=1"} <= set(added)


def test_a_saved_folder_stands_for_a_run():
    overrides = as_overrides(["evaluate", str(BUNDLED / "digits")])
    assert overrides[1] == f"checkpoint='{BUNDLED / 'digits' / 'model.safetensors'}'"
