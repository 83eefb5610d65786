"""Steps in several processes equal steps in one, and the loss of a process is noticed."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch import nn

from spikeformer.concurrency import ParallelSpikingTrainer
from spikeformer.config import ConcurrencyConfig
from spikeformer.error_handling import ArgumentError, ProcessGroupError
from tests.concurrency import processes
from tests.forking import forked

SCENARIOS = ("train:2", "train:3", "dead:3", "hang:2", "empty:2", "nan:2", "late:2")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Run all scenarios at once; return what each process saved."""
    folder = tmp_path_factory.mktemp("processes")
    forked(processes.run_all, folder, *SCENARIOS)

    def load(scenario, rank):
        return torch.load(folder / scenario.replace(":", "-") / f"rank{rank}.pt")

    return load


@pytest.mark.slow
@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("name", processes.NETWORKS)
def test_parallel_trainer_step_equals_that_of_one_process_on_the_joined_batch(
    saved, world_size, name
):
    model = processes.NETWORKS[name]()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion = processes.criterion_of(name)
    ranks = [saved(f"train:{world_size}", rank)[name] for rank in range(world_size)]
    for step in range(processes.STEPS):
        inputs, labels = processes.joined_batch(name, step)
        model.train()
        outputs = model(**inputs) if isinstance(inputs, dict) else model(inputs)
        if outputs.ndim == 3:
            outputs = outputs.mean(dim=1)
        loss = criterion(outputs, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected = processes.snapshot(model)
        for rank in ranks:
            for part in ("gradients", "state"):
                for key, value in expected[part].items():
                    torch.testing.assert_close(
                        rank[step][part][key], value, rtol=1e-6, atol=1e-9, msg=f"{part} {key}"
                    )
            metrics = rank[step]["metrics"]
            assert metrics["loss"] == pytest.approx(float(loss.detach()), rel=1e-5)
            assert metrics["samples"] == 8
            right = (outputs.argmax(dim=1) == labels).float().mean()
            assert metrics["accuracy"] == pytest.approx(float(right))
            norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
            assert metrics["grad_norm"] == pytest.approx(float(norm), rel=1e-4)


@pytest.mark.slow
def test_parallel_trainer_processes_stay_bitwise_equal(saved):
    first, *others = (saved("train:3", rank)["vit"][-1]["state"] for rank in range(3))
    for other in others:
        for key, value in first.items():
            assert torch.equal(value, other[key]), key


@pytest.mark.slow
def test_parallel_trainer_dead_process_is_an_error_in_the_others(saved):
    for rank in (0, 2):
        result = saved("dead:3", rank)
        assert result["message"].startswith("ProcessGroupError"), result["message"]
        assert "last checkpoint" in result["message"]
        assert result["seconds"] < 20


@pytest.mark.slow
def test_parallel_trainer_hanging_process_is_an_error_in_time(saved):
    result = saved("hang:2", 0)
    assert result["message"].startswith("ProcessGroupError"), result["message"]
    assert "timeout=3 s" in result["message"]
    assert 2.5 < result["seconds"] < 20


@pytest.mark.slow
def test_parallel_trainer_process_that_never_comes_is_an_error(saved):
    assert saved("late:2", 0)["message"].startswith("ProcessGroupError")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "error", "words"),
    [("empty:2", "ArgumentError", "process 1"), ("nan:2", "SpikingDynamicsError", "nan")],
)
def test_parallel_trainer_what_one_process_does_wrong_all_refuse(saved, scenario, error, words):
    for rank in range(2):
        message = saved(scenario, rank)["message"]
        assert message.startswith(error), message
        assert words in message


@pytest.fixture
def alone(tmp_path):
    """A trainer in a group of one."""
    model = processes.spiking_vit()
    with ParallelSpikingTrainer(model, backend="gloo") as trainer:
        trainer.setup_distributed(0, 1, init_method=f"file://{tmp_path}/meeting")
        yield trainer


def test_parallel_trainer_one_process_learns_and_leaves_nothing_behind(alone):
    optimizer = torch.optim.AdamW(alone.model.parameters(), lr=1e-2)
    inputs, labels = processes.joined_batch("vit", 0)

    def loss(outputs, target):  # a plain function gets the timesteps
        assert outputs.shape == (8, 2, 3)
        return nn.functional.cross_entropy(outputs.mean(dim=1), target)

    losses = [alone.train_step_parallel(inputs, labels, optimizer, loss)["loss"] for _ in range(20)]
    assert losses[-1] < 0.5 * losses[0]
    alone.close()
    assert not dist.is_initialized()
    with pytest.raises(ProcessGroupError, match="setup_distributed"):
        alone.train_step_parallel(inputs, labels, optimizer, loss)


def test_parallel_trainer_second_setup_is_refused(alone):
    with pytest.raises(ArgumentError, match="once"):
        alone.setup_distributed(0, 1)


def test_parallel_trainer_users_own_error_stays_what_it_is(alone):
    optimizer = torch.optim.SGD(alone.model.parameters(), lr=0.1)
    inputs, labels = processes.joined_batch("vit", 0)
    with pytest.raises(IndexError, match="Target 7 is out of bounds"):
        alone.train_step_parallel(inputs, labels * 0 + 7, optimizer, nn.CrossEntropyLoss())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"backend": "mpi"}, "'gloo'"),
        ({"timeout": 0}, "above 0"),
        ({"config": ConcurrencyConfig(enable_model_parallelism=True)}, "trainer=fsdp"),
    ],
)
def test_parallel_trainer_bad_arguments(arguments, words):
    with pytest.raises(ArgumentError, match=words):
        ParallelSpikingTrainer(nn.Linear(1, 1), **arguments)


def test_parallel_trainer_rank_outside_the_group():
    with pytest.raises(ArgumentError, match="world_size - 1 = 1"):
        ParallelSpikingTrainer(nn.Linear(1, 1), backend="gloo").setup_distributed(2, 2)


def test_parallel_trainer_targets_that_are_not_those_of_the_inputs(alone):
    optimizer = torch.optim.SGD(alone.model.parameters(), lr=0.1)
    inputs, labels = processes.joined_batch("vit", 0)
    for wrong, count in ((labels[:1], 1), (labels[0], 0)):
        words = f"8 inputs and {count} targets in process 0"
        with pytest.raises(ArgumentError, match=words):
            alone.train_step_parallel(inputs, wrong, optimizer, nn.MSELoss())


def test_parallel_trainer_network_that_cannot_be_shared_leaves_no_group_behind(tmp_path):
    frozen = processes.spiking_vit().requires_grad_(False)
    trainer = ParallelSpikingTrainer(frozen, backend="gloo")
    with pytest.raises(RuntimeError, match="gradient"):
        trainer.setup_distributed(0, 1, init_method=f"file://{tmp_path}/meeting")
    assert not dist.is_initialized()


def test_parallel_trainer_criteria_without_one_number(alone):
    optimizer = torch.optim.SGD(alone.model.parameters(), lr=0.1)
    inputs, labels = processes.joined_batch("vit", 0)
    with pytest.raises(ArgumentError, match="one number"):
        alone.train_step_parallel(inputs, labels, optimizer, lambda outputs, _: outputs)
    with pytest.raises(ArgumentError, match="reduction"):
        alone.train_step_parallel(inputs, labels, optimizer, nn.CrossEntropyLoss(reduction="none"))
