from __future__ import annotations

import pytest
import torch

from spikeformer.data import SpikingDataModule, Splits, TensorBatches
from spikeformer.error_handling import ArgumentError, DataError
from spikeformer.research import PermutedTasks, SplitTasks


class Numbered(SpikingDataModule):
    """Images that carry their own number, in six classes."""

    def load(self):
        def part(samples, first=0):
            numbers = torch.arange(first, first + samples).float()
            images = numbers[:, None, None, None] + torch.arange(4).view(1, 1, 2, 2) / 10
            return TensorBatches(images, torch.arange(samples) % 6)

        return Splits(part(36), None, part(12, 100), [f"c{label}" for label in range(6)])


def ready(kind, **arguments):
    data = kind(Numbered(), **arguments)
    data.setup()
    return data


def everything(dataset):
    return dataset.__getitems__(range(len(dataset)))


def test_task_sequence_replays_few_samples_repeated_to_half_of_an_epoch():
    data = ready(SplitTasks, num_tasks=3, replay=2)
    images, target = everything(data._training(2))
    old = target < 4
    assert int((~old).sum()) == 12
    assert int(old.sum()) == 12
    for task in range(2):
        kept = images[target // 2 == task][:, 0, 0, 0]
        assert len(kept) == 6
        assert len(set(kept.tolist())) == 2
    assert len(data._training(0)) == 12
    assert torch.equal(everything(data._training(2))[0], images)  # always the same ones


def test_task_sequence_trained_jointly_keeps_everything_so_far():
    data = ready(SplitTasks, num_tasks=3, joint=True)
    assert [len(data._training(task)) for task in range(3)] == [12, 24, 36]


def test_task_sequence_refuses_what_makes_no_tasks():
    for bad, match in (
        ({"num_tasks": 1}, "num_tasks"),
        ({"replay": -1}, "replay"),
        ({"replay": 3, "joint": True}, "joint"),
        ({"task_seed": -1}, "task_seed"),
        ({"classes_per_task": 0}, "classes_per_task"),
    ):
        with pytest.raises(ArgumentError, match=match):
            SplitTasks(Numbered(), **bad)
    with pytest.raises(DataError, match="choose fewer tasks"):
        ready(SplitTasks, num_tasks=4)
    with pytest.raises(DataError, match=r"data\.num_classes=5"):
        ready(SplitTasks, num_tasks=3, num_classes=5)

    class Unlabelled(Numbered):
        def load(self):
            splits = super().load()
            del splits.train.targets
            return splits

    with pytest.raises(DataError, match="one class for each sample"):
        SplitTasks(Unlabelled(), num_tasks=3).setup()

    class Tokens(Numbered):
        def load(self):
            part = TensorBatches(torch.zeros(6, 5), torch.arange(6))
            return Splits(part, None, part, list("abcdef"))

    class Untested(Numbered):
        def load(self):
            splits = super().load()
            splits.test.targets = splits.test.targets.clamp(max=3)
            return splits

    with pytest.raises(DataError, match="Task 3 has no samples in the test split"):
        SplitTasks(Untested(), num_tasks=3).setup()

    data = PermutedTasks(Tokens(), num_tasks=2)
    data.setup()
    with pytest.raises(DataError, match="to permute"):
        data.splits.train.__getitems__([0])
