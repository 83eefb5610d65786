from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeformer.ops.layout import FeatureAxes, as_rows, empty_rows_like

sizes = st.lists(st.integers(0, 4), min_size=0, max_size=4)


@given(sizes, st.randoms())
def test_flatten_views_any_dense_order_and_restores(features, random):
    order = list(range(len(features)))
    random.shuffle(order)
    stored = torch.arange(2 * 3 * torch.Size(features).numel())
    stored = stored.view(2, 3, *(features[axis] for axis in order))
    tensor = stored.permute(0, 1, *(2 + order.index(axis) for axis in range(len(order))))
    axes = FeatureAxes.of(tensor)
    flat = axes.flatten(tensor, 2)
    assert flat.shape == (2, 3, torch.Size(features).numel())
    assert flat.data_ptr() == tensor.data_ptr()
    restored = axes.restore(flat, 2)
    assert torch.equal(restored, tensor)
    assert restored.data_ptr() == tensor.data_ptr()


def test_flatten_orders_a_state_like_its_current():
    current = torch.randn(2, 3, 4, 5, 6).permute(0, 1, 4, 2, 3)
    axes = FeatureAxes.of(current)
    assert torch.equal(axes.flatten(current, 2)[:, 1], axes.flatten(current[:, 1], 1))
    assert torch.equal(axes.restore(axes.flatten(current[:, 1], 1), 1), current[:, 1])


def test_rows_are_copied_once_along_expanded_axes():
    constant = torch.randn(2, 1, 10)[:, :, ::2].expand(2, 100, 5)
    rows = as_rows(constant)
    assert rows.stride() == (5, 0, 1)
    assert torch.equal(rows, constant)
    ones = as_rows(torch.ones(()).expand(2, 3, 5))
    assert ones.stride() == (0, 0, 1)
    assert torch.equal(ones, torch.ones(2, 3, 5))


def test_rows_of_empty_tensors():
    assert as_rows(torch.ones(()).expand(0, 3, 5)).shape == (0, 3, 5)


def test_rows_leave_contiguous_features_alone():
    strided = torch.randn(4, 6, 5)[::2, ::3]
    assert as_rows(strided) is strided


def test_fresh_rows_keep_the_order_of_batch_and_time():
    batch_major = torch.empty(2, 3, 5)
    assert empty_rows_like(batch_major).stride() == (15, 5, 1)
    assert empty_rows_like(batch_major.transpose(0, 1)).stride() == (5, 15, 1)
    assert empty_rows_like(batch_major[:, :1].expand(2, 3, 5)).stride() == (15, 5, 1)


def test_fresh_rows_keep_dtype():
    assert empty_rows_like(torch.empty(2, 3, 5, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert empty_rows_like(torch.empty(64, 64, 1024)).shape == (64, 64, 1024)
