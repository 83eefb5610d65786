"""Batches of every form: the same samples come out, however they are cut, moved and joined."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers import BatchEncoding

from spikeformer.data.batch import (
    arguments,
    as_floats,
    call,
    device_of,
    first,
    inputs_of,
    join,
    named_tensors,
    num_samples,
    parts,
    select,
    split,
    split_if_labelled,
    to_device,
)
from spikeformer.error_handling import ArgumentError

FORMS = ("tensor", "tuple", "list", "dict", "hugging_face", "nested")


def inputs(form, samples, width=3):
    """Inputs in which every number tells its place."""
    x = torch.arange(samples * width, dtype=torch.float32).reshape(samples, width)
    ids = torch.arange(samples * 2).reshape(samples, 2)
    return {
        "tensor": x,
        "tuple": (x, ids),
        "list": [x, ids],
        "dict": {"x": x, "ids": ids, "scale": torch.tensor(2.0), "mask": None},
        "hugging_face": BatchEncoding({"input_ids": ids, "attention_mask": ids > 1}),
        "nested": ({"x": x}, [ids, 5]),
    }[form]


def same(a, b):
    """Whether two nested inputs hold equal tensors in equal places."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict | BatchEncoding):
        return set(a) == set(b) and all(same(a[name], b[name]) for name in a)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@given(st.sampled_from(FORMS), st.integers(1, 9), st.integers(1, 10))
def test_join_is_the_reverse_of_parts(form, samples, size):
    whole = inputs(form, samples)
    cut = list(parts(whole, size))
    assert [num_samples(part) for part in cut[:-1]] == [size] * (len(cut) - 1)
    assert sum(map(num_samples, cut)) == num_samples(whole) == samples
    assert same(whole, join(cut))


@given(st.sampled_from(FORMS), st.integers(1, 9), st.integers(1, 12))
def test_first_begins_what_the_rest_ends(form, samples, count):
    whole = inputs(form, samples)
    head = first(whole, count)
    assert num_samples(head) == min(count, samples)
    if count < samples:
        assert same(whole, join([head, select(whole, slice(count, None))]))


@given(st.sampled_from(FORMS), st.permutations(range(5)))
def test_select_takes_indices(form, order):
    there = torch.tensor(order)
    back = there.argsort()
    assert same(inputs(form, 5), select(select(inputs(form, 5), there), back))


def test_select_leaves_alone_what_has_no_row_for_each_sample():
    whole = {"x": torch.rand(4, 3), "position_ids": torch.arange(7), "scale": torch.tensor(1.0)}
    some = first(whole, 2)
    assert torch.equal(some["x"], whole["x"][:2])
    assert some["position_ids"] is whole["position_ids"]
    assert some["scale"] is whole["scale"]


@pytest.mark.parametrize("form", FORMS)
def test_to_device_moves_every_tensor(form):
    moved = to_device(inputs(form, 2), "meta")
    found = [x for x in torch.utils._pytree.tree_leaves(moved) if isinstance(x, torch.Tensor)]
    assert found
    assert all(x.device.type == "meta" for x in found)
    assert same(to_device(inputs(form, 2), "cpu"), inputs(form, 2))


def test_device_of_a_network():
    assert device_of(nn.Linear(2, 2, device="meta")).type == "meta"
    assert device_of(nn.ReLU()).type == "cpu"


@pytest.mark.parametrize("label", ["labels", "label", "targets", "target"])
def test_split_and_inputs_of_a_dict(label):
    pixels, target = torch.rand(2, 3), torch.tensor([0, 1])
    batch = {"pixel_values": pixels, label: target}
    for found, labels in (split(batch), split_if_labelled(batch)):
        assert same(found, {"pixel_values": pixels})
        assert labels is target
    assert same(inputs_of(batch), {"pixel_values": pixels})


@given(st.sampled_from(FORMS), st.integers(2, 5))
def test_split_of_a_pair(form, samples):
    whole = inputs(form, samples)
    for target in (torch.arange(samples), torch.rand(samples, 2)):
        for batch in ((whole, target), [whole, target]):
            found, labels = split(batch)
            assert same(whole, found)
            assert labels is target
            assert same(whole, inputs_of(batch))
    found, labels = split_if_labelled((whole, torch.arange(samples)))
    assert same(whole, found)
    assert labels is not None


def test_split_if_labelled_takes_two_tensors_for_arguments():
    x, y = torch.rand(3, 2), torch.rand(3, 2)
    for batch in ((x, y), [x, y], (x, torch.arange(4))):
        found, target = split_if_labelled(batch)
        assert target is None
        assert same(found, tuple(batch))
    assert split_if_labelled(x) == (x, None)
    assert split_if_labelled([x])[1] is None


@pytest.mark.parametrize(
    "batch", [torch.rand(2), (torch.rand(2),), {"x": torch.rand(2)}, (torch.rand(2), [1, 2]), None]
)
def test_split_refuses_what_has_no_target(batch):
    with pytest.raises(ArgumentError, match=r"\(inputs, target\) or a dict .*'labels'"):
        split(batch)


@pytest.mark.parametrize("nothing", [None, {}, (), torch.tensor(1.0), {"x": [1, 2]}])
def test_num_samples_refuses_what_has_no_rows(nothing):
    with pytest.raises(ArgumentError, match="inputs"):
        num_samples(nothing)


@pytest.mark.parametrize("form", FORMS)
def test_call_and_arguments(form):
    whole = inputs(form, 2)
    args, kwargs = call(lambda *args, **kwargs: (args, kwargs), whole)
    assert same((args, kwargs), arguments(whole))
    expected = dict(whole) if form in ("dict", "hugging_face") else {}
    assert same(kwargs, expected)
    if not expected:
        assert same(args, (whole,) if form == "tensor" else tuple(whole))


def test_named_tensors():
    x, ids = torch.rand(2, 3), torch.arange(2)
    assert same(named_tensors(x), {"": x})
    assert same(named_tensors((x, ids, None)), {"0": x, "1": ids})
    assert same(named_tensors({"x": x, "mask": None}), {"x": x})


def test_images_of_bytes_become_floats_from_0_to_1():
    image = torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    ids = torch.zeros(2, 5, dtype=torch.uint8)
    scaled = as_floats({"image": image, "ids": ids})
    assert scaled["image"].dtype == torch.float32
    assert scaled["image"].unique().tolist() == [1.0]
    assert scaled["ids"] is ids
    assert as_floats((image.float(),))[0].max() == 255


@pytest.mark.parametrize("shape", [(2, 5, 3, 4, 4), (2, 2, 4, 4), (2, 4, 4, 3)])
def test_bytes_of_which_nobody_tells_the_range_are_refused(shape):
    with pytest.raises(ArgumentError, match="uint8 of shape"):
        as_floats(torch.zeros(shape, dtype=torch.uint8))
