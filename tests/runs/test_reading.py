"""Files of a run folder, whole and broken."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spikeformer.error_handling import SpikeformerError
from spikeformer.reporting import load_results


@pytest.mark.parametrize("content", ["", "epoch,train/loss\n"])
def test_a_history_without_rows_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "metrics.csv").write_text(content)
    assert load_results(tmp_path).history is None


def test_rows_of_one_epoch_are_joined(tmp_path: Path) -> None:
    text = "epoch,train/loss,val/loss\n0,,2.0\n0,1.5,\n1,,1.0\n1,0.5,\n"
    (tmp_path / "metrics.csv").write_text(text)
    history = load_results(tmp_path).history
    assert history is not None
    assert history["train/loss"].tolist() == [1.5, 0.5]
    assert history["val/loss"].tolist() == [2.0, 1.0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manifest.json", b"{"),
        ("manifest.json", b"[1]"),
        ("manifest.json", b'{"stages": ["fit"]}'),
        ("manifest.json", b'{"stages": {"fit": "done"}}'),
        ("manifest.json", b'{"stages": {"fit": {"seconds": "long"}}}'),
        ("environment.json", b"\xff\xfe\x00"),
        ("metrics.csv", b"epoch,train/loss\n0,low\n"),
        ("metrics.csv", b"epoch,loss\n0,1,2\n0,1\n0,1,2,3,4\n"),
        ("metrics.csv", b"\x80\x81\n\xff"),
        ("config.yaml", b"a: [1"),
        ("config.yaml", b"- a"),
        ("overrides.yaml", b"a: 1"),
        ("results/test.json", b""),
        ("results/test.json", b'{"version": 1, "metrics": [1]}'),
        ("results/sample.npz", b""),
        ("results/sample.npz", b"not a zip file"),
        ("results/sample.npz", b"PK\x03\x04 cut"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(SpikeformerError, match=re.escape(str(path))):
        load_results(tmp_path)
