"""The comparison of networks on recordings of events: its measures and its page."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from bench.events import ARMS, BASELINES, OURS, by_step, page, shuffled

from spikeformer.data.datamodule import Splits
from spikeformer.data.datasets import TensorBatches

STEPS = {"spoken": 25, "digits": 8}


def recorded(arm: str, task: str, seed: int) -> dict:
    accuracy = 0.5 + 0.1 * seed
    return {
        "task": task,
        "arm": arm,
        "seed": seed,
        "parameters": 1234,
        "epochs": 10 + 2 * seed,
        "seconds": 60.0 * (1 + seed),
        "accuracy": accuracy,
        "shuffled_in_the_test": accuracy - 0.25,
        "by_step": [accuracy] * STEPS[task],
    }


def test_the_page_has_a_row_for_every_network_with_means_over_seeds():
    arms = [*((arm, "spoken") for arm in ARMS), (OURS["digits"], "digits")]
    arms += [(arm, task) for arm, (task, _) in BASELINES.items()]
    result = {
        "runs": [recorded(*arm, seed) for seed in (0, 1) for arm in arms],
        "settings": {"spoken_epochs": 10, "digits_epochs": 24},
        "machine": {"cpu": "a CPU"},
        "packages": {"torch": "2"},
        "date": "today",
        "command": "this one",
    }
    text = page(result)
    for arm, _ in arms:
        row = f"| {arm} | 1,234 | 11 | 1.5 | 50.00% | 60.00% | **55.00%** | 30.00% |"
        assert text.count(row) == 1, arm
    assert "cost ours 25.0 points" in text


def test_accuracy_after_each_step_is_that_of_the_mean_so_far():
    outputs = torch.randn(6, 5, 3)
    labels = torch.randint(3, (6,))
    data = SimpleNamespace(
        test_dataloader=lambda: [(outputs[:4], labels[:4]), (outputs[4:], labels[4:])]
    )
    expected = [
        sum(int(outputs[i, : t + 1].mean(dim=0).argmax() == labels[i]) for i in range(6)) / 6
        for t in range(5)
    ]
    torch.testing.assert_close(torch.tensor(by_step(lambda x: x, data)), torch.tensor(expected))


def test_shuffled_recordings_keep_their_steps():
    part = TensorBatches(torch.arange(60.0).view(5, 12, 1), torch.arange(5), unit=1.0)
    data = SimpleNamespace(splits=Splits(part, None, part, []), _splits=None)
    found = shuffled(data, 0)._splits.test
    assert torch.equal(found.inputs.sort(dim=1).values, part.inputs)
    assert all(not torch.equal(a, b) for a, b in zip(found.inputs, part.inputs, strict=True))
    assert torch.equal(found.targets, part.targets)
