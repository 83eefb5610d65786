from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from spikeformer.cli.resolvers import new_folder


def test_nobody_else_has_the_folder(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: new_folder(str(tmp_path / "day" / "run")), range(16)))
    assert len(set(folders)) == 16
    assert {folder.rsplit("/", 1)[1] for folder in folders} == {
        "run",
        *(f"run-{number}" for number in range(1, 16)),
    }
