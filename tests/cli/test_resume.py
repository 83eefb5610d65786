from __future__ import annotations

import pytest

from spikeformer.cli.resume import with_resumed_overrides
from spikeformer.error_handling import ConfigurationError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "overrides.yaml").write_text("- seed=3\n- data=fsdd\n- +extra=1\n")
    return tmp_path


def test_saved_overrides_come_first_and_new_ones_win(folder):
    arguments = [f"pipeline.resume={folder}", "seed=4", "trainer.max_epochs=9"]
    assert with_resumed_overrides(arguments) == [
        "data=fsdd",
        "+extra=1",
        *arguments,
        f"hydra.run.dir='{folder}'",
    ]


@pytest.mark.parametrize("arguments", [[], ["seed=1"], ["pipeline.resume=null"]])
def test_without_resume_nothing_changes(arguments):
    assert with_resumed_overrides(arguments) == arguments


def test_broken_overrides(folder):
    (folder / "overrides.yaml").write_text("- [unclosed")
    with pytest.raises(ConfigurationError, match=r"overrides\.yaml"):
        with_resumed_overrides([f"pipeline.resume={folder}"])
