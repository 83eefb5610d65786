from __future__ import annotations

import torch

from spikeformer.research import PermutedTasks
from tests.research.test_tasks import everything, ready


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
