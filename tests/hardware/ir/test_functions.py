from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeformer.hardware.ir.functions import FUNCTIONS, multiplications

aten = torch.ops.aten
A = torch.linspace(-2.0, 3.0, 24, dtype=torch.float64).reshape(2, 3, 4)
B = torch.linspace(0.5, 2.0, 24, dtype=torch.float64).reshape(2, 4, 3)
KERNEL = B[:, :2, None, :2]
IDS = torch.tensor([[0, 2], [1, 1]])

CALLS = [
    ("view", (A, [2, -1]), {}),
    ("transpose", (A, 1, -1), {}),
    ("permute", (A, [2, 0, 1]), {}),
    ("t", (A[0],), {}),
    ("expand", (A[:, :1], [2, 5, -1]), {}),
    ("unsqueeze", (A, -1), {}),
    ("squeeze", (A[:, :1], 1), {}),
    ("squeeze", (A[:, :1], -1), {}),
    ("squeeze", (A[:1, :1],), {}),
    ("select", (A, 1, -1), {}),
    ("slice", (A, -1, 1, 9223372036854775807, 2), {}),
    ("mm", (A[0], B[0]), {}),
    ("bmm", (A, B), {}),
    ("addmm", (B[0, 0], A[0], B[0]), {"beta": 2.0, "alpha": 0.5}),
    ("convolution", (A[None], KERNEL, B[0, 0, :2], [1, 2], [1, 0], [1, 1], False, [0, 0], 1), {}),
    ("convolution", (A, B[:, :3, :2], None, [2], [0], [1], False, [0], 1), {}),
    ("native_layer_norm", (A, [4], B[0, :, 0], B[1, :, 0], 1e-5), {}),
    ("native_layer_norm", (A, [3, 4], None, None, 1e-12), {}),
    ("_softmax", (A, -1, False), {}),
    ("_softmax", (A.masked_fill(A > 1, -torch.finfo(A.dtype).max), 1, False), {}),
    ("gelu", (A,), {}),
    ("gelu", (A,), {"approximate": "tanh"}),
    ("relu", (A,), {}),
    ("silu", (A,), {}),
    ("sigmoid", (A,), {}),
    ("tanh", (A,), {}),
    ("erf", (A,), {}),
    ("exp", (A,), {}),
    ("log", (B,), {}),
    ("sqrt", (B,), {}),
    ("rsqrt", (B,), {}),
    ("pow", (A, 3), {}),
    ("mul", (A, 0.5), {}),
    ("div", (A, A.new_tensor(3.0)), {}),
    ("mean", (A, [1], True), {}),
    ("mean", (A,), {}),
    ("add", (A, A), {"alpha": 3}),
    ("sub", (A, 2.0), {"alpha": 2}),
    ("rsub", (A, 1.0), {}),
    ("neg", (A,), {}),
    ("abs", (A,), {}),
    ("sum", (A, [-1]), {}),
    ("cumsum", (A, 1), {}),
    ("amax", (A, [1], True), {}),
    ("argmax", (A, -1), {}),
    ("cat", ([A, A * 2], 1), {}),
    ("stack", ([A, A * 2], -1), {}),
    ("embedding", (A[0], IDS), {}),
    ("gather", (A[0], 1, IDS), {}),
    ("index_select", (A, 2, IDS[0]), {}),
    ("index", (A, [None, IDS[0]]), {}),
    ("index", (A, [A[:, 0, 0] > -2]), {}),
    ("where", (A > 0, A, B.transpose(1, 2)), {}),
    ("masked_fill", (A, A > 0, -1.5), {}),
    ("bitwise_not", (A > 0,), {}),
    ("bitwise_and", (A > 0, A > 1), {}),
    ("logical_or", (A > 0, A < -1), {}),
    ("eq", (A, A[0, 0, 0]), {}),
    ("le", (A, 0.5), {}),
    ("any", (A > 0, -1), {}),
    ("all", (A > 0,), {}),
]  # fmt: skip


def _array(node):
    if isinstance(node, torch.Tensor):
        return node.numpy()
    return [_array(child) for child in node] if isinstance(node, list) else node


@pytest.mark.parametrize(
    ("name", "args", "settings"), CALLS, ids=lambda x: x if isinstance(x, str) else ""
)
def test_functions_compute_what_torch_computes(name, args, settings):
    expected = getattr(aten, name)(*args, **settings)
    expected = expected[0] if isinstance(expected, tuple) else expected
    found = FUNCTIONS[name](*map(_array, args), **settings)
    assert found.shape == tuple(expected.shape)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-12, atol=1e-14)


def test_casts_keep_real_numbers_in_float64():
    assert FUNCTIONS["_to_copy"](A.numpy().astype(np.float32)).dtype == np.float64
    assert FUNCTIONS["_to_copy"](np.array([0.0, 2.0]), dtype="bool").tolist() == [False, True]


def test_multiplications_are_those_of_the_sums():
    a, b = A.numpy(), B.numpy()
    assert multiplications("bmm", [a, b], a @ b) == 2 * 3 * 3 * 4
    weight, image = np.ones((5, 3, 2, 2)), np.ones((1, 3, 6, 6))
    y = FUNCTIONS["convolution"](image, weight, None, [2, 2], [0, 0], [1, 1], False, [0, 0], 1)
    assert multiplications("convolution", [image, weight], y) == 5 * 9 * 12
    assert multiplications("_softmax", [a, -1], a) == a.size
    assert multiplications("add", [a, a], a) == multiplications("view", [a, [24]], a) == 0
