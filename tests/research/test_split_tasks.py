from __future__ import annotations

import numpy as np
import torch

from spikeformer.data import DigitsDataModule
from spikeformer.research import SplitTasks
from tests.research.test_tasks import everything, ready


def test_split_tasks_have_their_classes_and_together_all():
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


def test_split_tasks_with_shared_labels_number_the_classes_within_their_task():
    data = ready(SplitTasks, num_tasks=3, shared_labels=True, num_classes=2)
    assert data.class_names == ["c0/c2/c4", "c1/c3/c5"]
    images, target = everything(data.splits.train)
    assert torch.equal(target, images[:, 0, 0, 0].long() % 2)
    sample, label = data.splits.train[3]
    assert sample.shape == (1, 2, 2)
    assert label.shape == ()


def test_split_tasks_of_the_digits():
    data = SplitTasks(DigitsDataModule(), num_classes=10)
    data.setup()
    base = DigitsDataModule()
    base.setup()
    sizes = [len(data.loader("train", task).dataset) for task in range(5)]
    counts = np.bincount(base.splits.train.targets)
    assert sizes == counts.reshape(5, 2).sum(1).tolist()
