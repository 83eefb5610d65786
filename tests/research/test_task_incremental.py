from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spikeformer.research import TaskIncrementalModule
from spikeformer.training import get_loss
from tests.training.toys import toy_net


def test_task_incremental_module_chooses_within_the_task():
    module = TaskIncrementalModule(toy_net(outputs=6), get_loss("cross_entropy"))
    outputs, target = torch.randn(5, 3, 6), torch.tensor([0, 3, 5, 2, 1])
    selected: Tensor = module.task_outputs(outputs, target)
    for row, label in enumerate(target.tolist()):
        first = label // 2 * 2
        own = selected[row, :, first : first + 2]
        assert torch.equal(own, outputs[row, :, first : first + 2])
        assert int((selected[row] > -100).sum()) == 6
        expected = torch.nn.functional.cross_entropy(
            own.mean(0)[None], torch.tensor([label - first])
        )
        loss = module.loss(selected[row : row + 1], target[row : row + 1])
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
