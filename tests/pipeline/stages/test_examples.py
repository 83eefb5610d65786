"""`ExampleCollector` keeps the most confident errors, then the least certain hits."""

from __future__ import annotations

import numpy as np
import torch

from spikeformer.data import DigitsDataModule
from spikeformer.pipeline.stages.examples import MAX_EXAMPLES, ExampleCollector


def ranked(outputs, targets):
    """Indices in the order of the definition, sample by sample."""
    chances = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    predicted = chances.argmax(axis=1)
    errors = [i for i in range(len(targets)) if predicted[i] != targets[i]]
    hits = [i for i in range(len(targets)) if predicted[i] == targets[i]]
    errors.sort(key=lambda i: -chances[i].max())
    hits.sort(key=lambda i: chances[i].max())
    return [*errors, *hits][:MAX_EXAMPLES], chances


def test_example_collector_ranks_over_all_batches():
    torch.manual_seed(3)
    images, outputs = torch.rand(50, 1, 4, 4), torch.randn(50, 5)
    targets = torch.where(torch.arange(50) % 9 == 0, torch.arange(50) % 5, outputs.argmax(dim=1))
    collector = ExampleCollector(DigitsDataModule())
    for start in range(0, 50, 7):
        part = slice(start, start + 7)
        collector.add(images[part], outputs[part], targets[part])
    found = collector.results()
    expected, chances = ranked(outputs.double().numpy(), targets.numpy())
    assert 0 < (found.predictions != found.targets).sum() < MAX_EXAMPLES
    np.testing.assert_array_equal(found.inputs, images[expected].numpy())
    np.testing.assert_array_equal(found.targets, targets[expected].numpy())
    np.testing.assert_array_equal(found.predictions, chances[expected].argmax(axis=1))
    np.testing.assert_allclose(found.confidences, chances[expected].max(axis=1), rtol=1e-5)


def test_example_collector_writes_texts_without_their_padding():
    collector = ExampleCollector(DigitsDataModule())  # its words are the numbers
    ids, mask = torch.tensor([[7, 8, 0], [5, 6, 9]]), torch.tensor([[1, 1, 0], [1, 1, 1]]).bool()
    collector.add({"input_ids": ids, "mask": mask}, torch.eye(2), torch.tensor([0, 0]))
    assert collector.results().inputs.tolist() == ["5 6 9", "7 8"]


def test_example_collector_leaves_out_what_has_no_picture():
    collector = ExampleCollector(DigitsDataModule())
    both = {"vision": torch.rand(2, 1, 8, 8), "audio": torch.rand(2, 100)}
    collector.add(both, torch.eye(2), torch.tensor([0, 1]))
    collector.add(torch.rand(2, 9), torch.eye(2), torch.tensor([0, 1]))
    assert collector.results() is None


def test_example_collector_adds_events_up_over_time():
    collector = ExampleCollector(DigitsDataModule())
    events = torch.rand(2, 5, 2, 4, 4)
    collector.add(events, torch.eye(2), torch.tensor([0, 1]))
    found = collector.results().inputs
    np.testing.assert_allclose(np.sort(found, axis=0), np.sort(events.sum(dim=1), axis=0))


def test_events_of_a_line_of_sensors_are_shown_over_time():
    collector = ExampleCollector(DigitsDataModule())
    events = torch.rand(1, 6, 2, 1, 9)
    collector.add(events, torch.eye(2)[:1], torch.tensor([0]))
    (found,) = collector.results().inputs
    np.testing.assert_allclose(found, events[0, :, :, 0].sum(dim=1).T[None])
