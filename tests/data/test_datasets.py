from __future__ import annotations

import torch
from torch.utils.data import DataLoader

from spikeformer.data import TensorBatches, TokenBatches
from spikeformer.data.datamodule import as_is


def test_uint8_is_scaled_to_unit_range():
    pixels = torch.tensor([[0, 51, 255]], dtype=torch.uint8)
    inputs, _ = TensorBatches(pixels, torch.zeros(1)).__getitems__([0])
    assert torch.equal(inputs, torch.tensor([[0, 51 / 255, 1.0]]))


def test_float_inputs_stay_and_the_store_is_not_changed_through_a_batch():
    store = torch.rand(4, 2)
    inputs, _ = TensorBatches(store, torch.arange(4)).__getitems__([1, 1])
    inputs.zero_()
    assert store[1].abs().sum() > 0


def test_single_items_agree_with_batches():
    data = TensorBatches(torch.rand(4, 2), torch.arange(4))
    assert torch.equal(data[2][0], data.__getitems__([2])[0][0])
    tokens = TokenBatches([[1, 2], [3]], torch.tensor([0, 1]), pad_id=9)
    assert tokens[1][0]["input_ids"].tolist() == [3]
    assert tokens[1][1] == 1


def test_loader_takes_whole_batches():
    data = TensorBatches(torch.rand(5, 2), torch.arange(5))
    shapes = [x.shape[0] for x, _ in DataLoader(data, batch_size=2, collate_fn=as_is)]
    assert shapes == [2, 2, 1]


def test_padding_goes_to_the_longest_of_the_batch():
    data = TokenBatches([[5, 6, 7], [8], [9, 10]], torch.arange(3), pad_id=0)
    inputs, targets = data.__getitems__([2, 1])
    assert inputs["input_ids"].tolist() == [[9, 10], [8, 0]]
    assert inputs["mask"].tolist() == [[True, True], [True, False]]
    assert targets.tolist() == [2, 1]
    assert inputs["input_ids"].dtype == targets.dtype == torch.int64


def test_a_token_equal_to_the_pad_id_is_still_real():
    inputs, _ = TokenBatches([[0, 0], [4]], torch.arange(2), pad_id=0).__getitems__([0, 1])
    assert inputs["mask"].tolist() == [[True, True], [True, False]]


def test_language_model_targets_are_the_next_tokens():
    data = TokenBatches([[1, 2, 3, 4], [5, 6]], None, pad_id=0)
    inputs, targets = data.__getitems__([0, 1])
    assert inputs["input_ids"].tolist() == [[1, 2, 3], [5, 0, 0]]
    assert targets.tolist() == [[2, 3, 4], [6, -100, -100]]
    assert inputs["mask"].tolist() == [[True] * 3, [True, False, False]]
