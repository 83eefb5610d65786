from __future__ import annotations

import pytest
import torch
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator

from spikeformer.cli import compose as composed
from spikeformer.error_handling import BackendUnavailableError, DataError
from spikeformer.pipeline import build
from spikeformer.pipeline.build import check_accelerator, dry_run
from tests.commands import SMALL

QUIET = ("logger=none", "trainer.accelerator=cpu", *SMALL)


def test_the_dry_run_changes_nothing(tmp_path):
    parts = build(composed(*QUIET), tmp_path)
    before = {key: value.clone() for key, value in parts.module.state_dict().items()}
    random = torch.random.get_rng_state()
    dry_run(parts.module, parts.data)
    assert torch.equal(torch.random.get_rng_state(), random)
    assert parts.module.training
    for key, value in parts.module.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert list(tmp_path.iterdir()) == []


def test_the_same_seed_makes_the_same_network(tmp_path):
    first, second, other = (
        build(composed(*QUIET, f"seed={seed}"), tmp_path).module.net.state_dict()
        for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def reversed_digits(folder):
    """A checkpoint of a network that knows the digits in the reverse order."""
    parts = build(composed(*QUIET), folder)
    state = {"state_dict": parts.module.state_dict()}
    names = [str(digit) for digit in reversed(range(10))]
    torch.save({**state, "Data": {"preparation": {"class_names": names}}}, folder / "x.ckpt")
    return f"checkpoint={folder / 'x.ckpt'}"


def test_data_are_prepared_as_those_of_the_checkpoint(tmp_path, capsys):
    checkpoint = reversed_digits(tmp_path)
    with pytest.raises(DataError, match=r"in the order 9, 8, .*, the data have them as 0, 1"):
        build(composed(*QUIET, checkpoint), tmp_path, trains=False)
    parts = build(composed(*QUIET, checkpoint), tmp_path, trains=True)
    assert parts.data.given.class_names[0] == "9"
    out = capsys.readouterr().out
    assert "data     samples: train" in out
    assert "trained on other classes (9, 8" in out


def test_a_checkpoint_that_tells_nothing_is_told(tmp_path, capsys):
    parts = build(composed(*QUIET), tmp_path)
    torch.save({"state_dict": parts.module.state_dict()}, tmp_path / "x.ckpt")
    capsys.readouterr()
    build(composed(*QUIET, f"checkpoint={tmp_path / 'x.ckpt'}"), tmp_path, trains=False)
    assert "does not tell the classes, tokens and scale" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["gpu", "cuda", "mps"])
def test_an_accelerator_that_is_not_there_is_refused_with_a_remedy(monkeypatch, name):
    for kind in (CUDAAccelerator, MPSAccelerator):
        monkeypatch.setattr(kind, "is_available", staticmethod(lambda: False))
    with pytest.raises(BackendUnavailableError, match=r"needs a GPU.*trainer=auto"):
        check_accelerator(name)
    check_accelerator("cpu")
    check_accelerator("auto")


def test_the_progress_bar_can_be_switched_off(tmp_path):
    parts = build(composed(*QUIET, "trainer.enable_progress_bar=false"), tmp_path)
    assert parts.trainer.progress_bar_callback is None
