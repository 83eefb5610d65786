from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from spikeformer.data import DigitsDataModule, SpikingDataModule, Splits, TensorBatches
from spikeformer.error_handling import ArgumentError, DataError
from spikeformer.research import PermutedTasks, SplitTasks, TaskIncrementalModule
from spikeformer.training import get_loss
from tests.training.toys import toy_net


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


def test_each_task_has_its_classes_and_all_have_all():
    data = ready(SplitTasks, num_tasks=3)
    assert data.task_names == ["c0, c1", "c2, c3", "c4, c5"]
    seen = []
    for task in range(3):
        images, target = everything(data.loader("train", task).dataset)
        assert set(target.tolist()) == {2 * task, 2 * task + 1}
        assert torch.equal(images[:, 0, 0, 0] % 6, target.float())
        seen += images[:, 0, 0, 0].int().tolist()
    assert sorted(seen) == list(range(36))
    assert len(data.splits.train) == 36
    assert len(data.splits.test) == 12
    assert data.splits.val is None
    assert data.num_classes == 6


def test_shared_labels_number_the_classes_within_their_task():
    data = ready(SplitTasks, num_tasks=3, shared_labels=True, num_classes=2)
    assert data.class_names == ["c0/c2/c4", "c1/c3/c5"]
    images, target = everything(data.splits.train)
    assert torch.equal(target, images[:, 0, 0, 0].long() % 2)
    sample, label = data.splits.train[3]
    assert sample.shape == (1, 2, 2)
    assert label.shape == ()


def test_permuted_tasks_show_the_same_images_in_other_orders():
    data = ready(PermutedTasks, num_tasks=3, task_seed=1)
    first, labels = everything(data.loader("test", 0).dataset)
    for task in range(3):
        images, target = everything(data.loader("test", task).dataset)
        assert torch.equal(target, labels)
        assert torch.equal(images.flatten(1).sort()[0], first.flatten(1))
        assert torch.equal(
            images.flatten(1).argsort(), images[:1].flatten(1).argsort().expand(12, 4)
        )
    assert not torch.equal(everything(data.loader("test", 1).dataset)[0], first)
    again = everything(ready(PermutedTasks, num_tasks=3, task_seed=1).loader("test", 2).dataset)[0]
    assert torch.equal(again, images)
    # The union holds every sample once for each task.
    assert len(data.splits.test) == 36
    rows = everything(data.splits.test)[0].flatten(1)
    assert torch.equal(rows[24:], images.flatten(1))


def test_replay_keeps_few_samples_and_repeats_them_to_half_of_an_epoch():
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


def test_joint_training_keeps_everything_so_far():
    data = ready(SplitTasks, num_tasks=3, joint=True)
    assert [len(data._training(task)) for task in range(3)] == [12, 24, 36]


def test_the_digits_split():
    data = SplitTasks(DigitsDataModule(), num_classes=10)
    data.setup()
    base = DigitsDataModule()
    base.setup()
    sizes = [len(data.loader("train", task).dataset) for task in range(5)]
    counts = np.bincount(base.splits.train.targets)
    assert sizes == counts.reshape(5, 2).sum(1).tolist()


def test_refuses_what_makes_no_tasks():
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


def test_task_incremental_answers_choose_within_the_task():
    module = TaskIncrementalModule(toy_net(outputs=6), get_loss("cross_entropy"))
    outputs, target = torch.randn(5, 3, 6), torch.tensor([0, 3, 5, 2, 1])
    answer: Tensor = module.task_outputs(outputs, target)
    for row, label in enumerate(target.tolist()):
        first = label // 2 * 2
        own = answer[row, :, first : first + 2]
        assert torch.equal(own, outputs[row, :, first : first + 2])
        assert int((answer[row] > -100).sum()) == 6
        expected = torch.nn.functional.cross_entropy(
            own.mean(0)[None], torch.tensor([label - first])
        )
        loss = module.loss(answer[row : row + 1], target[row : row + 1])
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
