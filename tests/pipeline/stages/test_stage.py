"""On what a stage's result depends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spikeformer.cli import compose
from spikeformer.pipeline import Test
from spikeformer.pipeline.stages.stage import stage_inputs
from tests.commands import SMALL


@pytest.fixture
def inputs(prepared):
    """A function from overrides to the hashes of what the test stage depends on."""

    def make(*overrides, stage=None, upstream="before", contents=None):
        config = compose(*SMALL, "logger=none", *overrides)
        run = replace(prepared, config=config, contents=contents or {})
        return stage_inputs(stage or Test(), run, upstream)

    return make


@pytest.mark.parametrize(
    ("override", "key"),
    [("data.seed=2", "data"), ("data.batch_size=64", "data"), ("model.num_layers=2", "model")],
)
def test_stage_inputs_change_with_what_they_name(inputs, override, key):
    before, after = inputs(), inputs(override)
    assert [name for name in before if before[name] != after[name]] == [key]


def test_stage_inputs_ignore_how_data_are_read_and_what_is_not_theirs(inputs):
    assert inputs("data.num_workers=2", "trainer.max_epochs=3") == inputs()


def test_stage_inputs_hold_the_stage_s_arguments_and_what_came_before(inputs):
    assert inputs(stage=Test("best"))["settings"] != inputs()["settings"]
    assert inputs(upstream="other")["upstream"] == "other"


def test_stage_inputs_change_with_the_content_of_a_file_of_the_same_name(inputs):
    before, after = inputs(contents={"data": "a"}), inputs(contents={"data": "b"})
    assert [name for name in before if before[name] != after[name]] == ["data"]
