"""What comes from the environment, or looks like a key, is in no file of a run."""

from __future__ import annotations

import pytest

from tests.runs import SMALL, train

SECRET, KEY = "s3cr3tvalue", "hf_abcdefghijklmnopqrstuvwx"


@pytest.mark.slow
def test_a_run_folder_holds_no_secret(tmp_path):
    train(
        *SMALL,
        "debug=fast",
        "trainer.accelerator=cpu",
        "name=${oc.env:MY_TOKEN}",
        f"paths.output_dir={tmp_path}",
        f"+paths.api_key={KEY}",
        MY_TOKEN=SECRET,
    )
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in files)
    assert any(path.name == "report.html" for path in files)
    for path in tmp_path.rglob("*"):
        assert SECRET not in str(path)
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), path
        assert KEY.encode() not in path.read_bytes(), path
    (overrides,) = tmp_path.rglob("overrides.yaml")
    assert "name=${oc.env:MY_TOKEN}" in overrides.read_text()
    assert "+paths.api_key=***" in overrides.read_text()
