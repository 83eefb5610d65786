"""The script that writes files of splits."""

from __future__ import annotations

from collections import Counter

import pytest

from scripts import event_splits
from spikeformer.data.events.named_splits import FOLDER, NamedSplit


def test_the_packages_files_are_what_the_script_writes():
    written = {path.stem: path.read_text() for path in FOLDER.iterdir()}
    assert event_splits.of_the_package() == written


def test_a_split_of_ones_own_folder(tmp_path):
    for name, count in (("ant", 20), ("bee", 10)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(1, count + 1):
            (tmp_path / "set" / name / f"image_{number:04}.bin").touch()
    (tmp_path / "set" / "readme.txt").touch()
    output = tmp_path / "mine.yaml"
    options = ["--folder", str(tmp_path / "set"), "--fraction", "0.2", "--output", str(output)]
    event_splits.main(options)
    first = output.read_text()
    parts = NamedSplit.read(str(output)).content.parts
    assert len(parts) == 30
    tested = Counter(group for (group, _), part in parts.items() if part == "test")
    assert tested == {"ant": 4, "bee": 2}
    event_splits.main(options)
    assert output.read_text() == first
    event_splits.main([*options, "--seed", "1"])
    assert output.read_text() != first
    with pytest.raises(SystemExit, match="holds no recordings"):
        event_splits.main([*options, "--files", "{group}/film_{number}"])
