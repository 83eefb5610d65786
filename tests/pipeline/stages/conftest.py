from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from spikeformer.cli import compose
from spikeformer.pipeline import Compile, Manifest, Run, StageRecord, build
from tests.commands import SMALL
from tests.hardware.networks import enliven


@pytest.fixture(scope="package")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on the digits with weights as if it had trained, on its way to a chip."""
    config = compose(
        *SMALL,
        "neuron=lif_hard",
        "hardware=simulation",
        "hardware.samples=16",
        "logger=none",
        "trainer.accelerator=cpu",
        "trainer.limit_test_batches=1",
    )
    folder: Path = tmp_path_factory.mktemp("prepared")
    run = Run(folder, config, build(config, folder), Manifest.open(folder, "run"), {})
    net = run.parts.module.net
    enliven(net)
    run.last_checkpoint.parent.mkdir()
    state = {f"net.{key}": value for key, value in net.state_dict().items()}
    torch.save({"state_dict": state}, run.last_checkpoint)
    return run


@pytest.fixture
def compiled(prepared: Run) -> dict[str, Any]:
    """What the compile stage says, on record as the pipeline keeps it."""
    result = Compile().run(prepared)
    prepared.manifest.stages["compile"] = StageRecord("done", result=result)
    return result
