from __future__ import annotations

import pytest

from spikeformer.error_handling import ConfigurationError
from spikeformer.files import file_hash
from spikeformer.pipeline import Manifest, StageRecord


def test_round_trip(tmp_path):
    manifest = Manifest.open(tmp_path, "a run")
    manifest.stages["fit"] = StageRecord("done", "f", 1.5, {"epochs": 3}, {"data": "h"})
    manifest.save()
    again = Manifest.open(tmp_path, "ignored")
    assert again == manifest
    assert again.name == "a run"


def test_current_only_while_inputs_and_files_are_untouched(tmp_path):
    file = tmp_path / "result.txt"
    file.write_text("42")
    manifest = Manifest(tmp_path, "run")
    manifest.stages["fit"] = StageRecord("done", "f", outputs={"result.txt": file_hash(file)})
    assert manifest.is_current("fit", "f")
    assert not manifest.is_current("fit", "other inputs")
    assert not manifest.is_current("test", "f")
    file.write_text("43")
    assert not manifest.is_current("fit", "f")
    file.unlink()
    assert not manifest.is_current("fit", "f")


@pytest.mark.parametrize("status", ["running", "failed"])
def test_an_unfinished_stage_is_not_current(tmp_path, status):
    manifest = Manifest(tmp_path, "run", stages={"fit": StageRecord(status, "f")})
    assert not manifest.is_current("fit", "f")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"name": "x"}', '{"stages": {"fit": {}}}'])
def test_a_broken_manifest_is_named(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"manifest\.json"):
        Manifest.open(tmp_path, "run")
