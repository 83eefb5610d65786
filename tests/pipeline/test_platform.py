"""What says `auto` the platform chooses and explains; what the user says stays."""

from __future__ import annotations

import pytest
import torch

from spikeformer.cli import compose as composed
from spikeformer.cross_platform import GIB
from spikeformer.data import DigitsDataModule, datamodule
from spikeformer.pipeline import Fit, Manifest, Run, build, platform
from spikeformer.pipeline.platform import resolve_trainer
from tests.commands import SMALL
from tests.cross_platform.trees import H100
from tests.cross_platform.trees import platform as made_up

CUDA = ("cuda_gpu", "triton_kernels", "bf16_gpu")


@pytest.fixture
def machine(monkeypatch):
    """Pretend to be another machine."""

    def become(*gpus, **facts):
        info = made_up(*gpus, **facts)
        monkeypatch.setattr(platform, "get_platform_info", lambda: info)
        monkeypatch.setattr(datamodule, "get_platform_info", lambda: info)

    return become


def settled(*overrides):
    config = composed("logger=none", *overrides)
    return config.trainer, {c.key: c for c in resolve_trainer(config)}


def test_a_machine_with_a_gpu(machine):
    machine(H100, capabilities=CUDA)
    trainer, choices = settled()
    assert (trainer.accelerator, trainer.precision) == ("gpu", "bf16-mixed")
    assert "H100" in choices["trainer.accelerator"].reason


def test_a_machine_without(machine):
    machine()
    trainer, choices = settled()
    assert (trainer.accelerator, trainer.precision) == ("cpu", "32-true")
    assert set(choices) == {"trainer.accelerator", "trainer.precision"}


def test_explicit_values_win(machine):
    machine(H100, capabilities=CUDA)
    trainer, choices = settled("trainer.accelerator=cpu")
    assert (trainer.accelerator, trainer.precision) == ("cpu", "32-true")
    assert set(choices) == {"trainer.precision"}
    trainer, choices = settled("trainer.precision=64-true")
    assert (trainer.accelerator, trainer.precision) == ("gpu", "64-true")
    assert settled("trainer=gpu")[1] == {}


def checked_run(folder, *overrides):
    """A run after the check of its fit stage, on the CPU."""
    config = composed(*SMALL, "logger=none", "trainer.accelerator=cpu", *overrides)
    run = Run(folder, config, build(config, folder), Manifest.open(folder, "run"), {})
    Fit().check(run)
    return run


def test_a_batch_that_fits_stays_whole(machine, tmp_path, capsys):
    machine(available_bytes=64 * GIB)
    run = checked_run(tmp_path)
    assert (run.parts.data.batch_size, run.parts.trainer.accumulate_grad_batches) == (128, 1)
    assert run.config.trainer.accumulate_grad_batches == 1
    text = capsys.readouterr().out
    assert "platform trainer.accumulate_grad_batches=1: a step takes about" in text
    assert "platform data.num_workers=0: all samples lie in memory" in text
    assert "platform ops=cpu" in text


def test_a_batch_that_does_not_fit_is_divided(machine, tmp_path):
    machine(available_bytes=4 * 2**20)
    run = checked_run(tmp_path)
    parts = run.parts.trainer.accumulate_grad_batches
    assert parts > 1
    assert run.parts.data.batch_size == -(-128 // parts)
    assert next(iter(run.parts.data.train_dataloader()))[0].shape[0] == run.parts.data.batch_size


def test_the_user_says_how_the_batch_is_divided(machine, tmp_path, capsys):
    machine(available_bytes=2**20)
    run = checked_run(tmp_path, "trainer.accumulate_grad_batches=2", "data.num_workers=1")
    assert run.parts.trainer.accumulate_grad_batches == 2
    assert run.parts.data.batch_size == 128
    assert "num_workers" not in capsys.readouterr().out


def test_divided_batches_have_the_whole_batchs_gradient():
    """The promise behind dividing a batch, for a network without batch norm."""
    net, x = torch.nn.Linear(3, 1), torch.rand(8, 3)
    net(x).mean().backward()
    whole = net.weight.grad.clone()
    net.zero_grad()
    for part in x.split(2):
        (net(part).mean() / 4).backward()
    torch.testing.assert_close(net.weight.grad, whole)


def test_only_data_that_are_decoded_get_workers(machine):
    machine(cores=6)
    data = DigitsDataModule()
    data.setup()
    assert data.train_dataloader().num_workers == 0

    class Decoded:
        decodes = True

    assert data.workers_for(Decoded()) == 5
    assert DigitsDataModule(num_workers=3).workers_for(Decoded()) == 3
