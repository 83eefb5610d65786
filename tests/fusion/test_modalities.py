from __future__ import annotations

import pytest
import torch

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError
from spikeformer.fusion import drop_modalities
from spikeformer.fusion.modalities import any_mask, check_dims, check_inputs, select_present

DIMS = {"a": 3, "b": 2}


def inputs(**others):
    return {"a": torch.rand(4, 2, 5, 3), "b": torch.rand(4, 2, 2), **others}


def test_inputs_come_in_the_order_of_the_dims_with_a_token_axis():
    given = inputs()
    checked = check_inputs({"b": given["b"], "a": given["a"]}, DIMS, 2)
    assert list(checked) == ["a", "b"]
    assert torch.equal(checked["b"][:, :, 0], given["b"])


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({}, ArgumentError, "at least one modality of 'a', 'b'"),
        ({"a": None}, ArgumentError, "at least one modality"),
        (inputs(c=torch.rand(1)), ArgumentError, r"keys are among 'a', 'b', but got \['c'\]"),
        (torch.rand(4, 2, 3), ArgumentError, "a dict by modality"),
        (inputs(a=torch.rand(3, 2, 3)), SpikingDynamicsError, "a: 3, b: 4"),
        (inputs(a=torch.rand(4, 7, 3)), SpikingDynamicsError, "timesteps=2"),
        (inputs(b=torch.rand(4, 2, 3)), SpikingDynamicsError, "dim=2"),
        (inputs(b=torch.ones(4, 2, 2).long()), SpikingDynamicsError, "floating-point"),
        (inputs(b="word"), SpikingDynamicsError, "Encode the input first"),
        (inputs(a=torch.rand(4, 2, 0, 3)), SpikingDynamicsError, "at least one sample"),
        ({"a": torch.rand(0, 2, 3)}, SpikingDynamicsError, "at least one sample"),
    ],
)
def test_wrong_inputs(wrong, error, message):
    with pytest.raises(error, match=message):
        check_inputs(wrong, DIMS, 2)


@pytest.mark.parametrize("wrong", [{}, {"a": 0}, ["a"]])
def test_wrong_dims(wrong):
    with pytest.raises(ArgumentError, match="modality_dims"):
        check_dims(wrong)


def yes(*values):
    return torch.tensor(values, dtype=torch.bool)


def test_samples_without_a_modality_are_silent_even_where_they_hold_nan():
    given = check_inputs(inputs(), DIMS, 2)
    given["a"][1] = torch.nan
    present, masks = select_present(dict(given), {"a": yes(1, 0, 1, 1)}, DIMS)
    assert present["a"][1].abs().sum() == 0
    assert torch.equal(present["a"][[0, 2, 3]], given["a"][[0, 2, 3]])
    assert masks["b"] is None


def test_a_modality_that_no_sample_has_is_left_out():
    present, masks = select_present(
        check_inputs(inputs(), DIMS, 2), {"a": yes(0, 0, 0, 0), "b": yes(1, 1, 1, 1)}, DIMS
    )
    assert list(present) == list(masks) == ["b"]


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        ({"c": yes(1, 1, 1, 1)}, ArgumentError, "modality_mask"),
        ({"a": yes(1, 1)}, SpikingDynamicsError, r"shape \(batch,\) = \(4,\)"),
        ({"a": torch.ones(4)}, SpikingDynamicsError, "to be bool"),
        ({"a": [True] * 4}, SpikingDynamicsError, "bool tensor .* got list"),
        (yes(1, 1, 1, 1), ArgumentError, "a dict by modality"),
        ({"a": yes(0, 1, 1, 1), "b": yes(0, 1, 1, 1)}, SpikingDynamicsError, "without any"),
        ({"a": yes(0, 0, 0, 0), "b": yes(0, 0, 0, 0)}, SpikingDynamicsError, "without any"),
    ],
)
def test_wrong_masks(mask, error, message):
    with pytest.raises(error, match=message):
        select_present(check_inputs(inputs(), DIMS, 2), mask, DIMS)


def test_any_mask():
    assert any_mask([None, yes(0, 1)]) is None
    assert any_mask([yes(0, 0, 1), yes(1, 0, 0)]).tolist() == [True, False, True]


def test_dropout_keeps_its_rate_and_always_one_modality():
    generator = torch.Generator().manual_seed(0)
    present = torch.ones(20_000, 2, dtype=torch.bool)
    present[:5_000, 0] = False
    kept = drop_modalities(present, 0.3, generator)
    assert kept.any(1).all()
    assert not (kept & ~present).any()
    # Alone it stays; of two, one goes with 0.3 and comes back in half of the 0.09 without any.
    assert kept[:5_000, 1].all()
    expected = 0.7 + 0.09 / 2
    assert (kept[5_000:].float().mean(0) - expected).abs().max() < 0.015
    assert torch.equal(drop_modalities(present, 0.0), present)
    assert (drop_modalities(present, 1.0).sum(1) == 1).all()
