"""Equal content gives equal keys, in any process; any difference gives another."""

from __future__ import annotations

import copy
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spikeformer.caching import content_key
from spikeformer.error_handling import ArgumentError


@dataclass
class Point:
    x: int
    y: float


DIFFERENT = [
    None,
    True,
    1,
    1.0,
    -0.0,
    0.0,
    "1",
    b"1",
    1j,
    (1,),
    [1],
    {1},
    {1: None},
    (1, (2, 3)),
    ((1, 2), 3),
    ("ab", "c"),
    ("a", "bc"),
    Path("1"),
    Point(1, 2.0),
    Point(2, 1.0),
    range(3),
    torch.float32,
    torch.zeros(2),
    torch.zeros(2, 1),
    torch.zeros(2, dtype=torch.int32),
    torch.zeros(2, dtype=torch.bfloat16),
    torch.zeros(0),
    torch.zeros(0, 2),
    np.zeros(2, np.float32),
    np.float32(0),
    len,
    copy.copy,
    nn.Linear,
]


def test_values_that_differ_have_keys_that_differ():
    keys = [content_key(value) for value in DIFFERENT]
    assert len(set(keys)) == len(DIFFERENT)


def test_what_is_equal_has_the_same_key():
    x = torch.arange(12.0).reshape(3, 4)
    assert content_key(x.T) == content_key(x.T.contiguous())
    assert content_key(x[:, ::2]) == content_key(x[:, ::2].clone())
    assert content_key({"a": 1, "b": [x]}) == content_key({"b": [x.clone()], "a": 1})
    assert content_key({"x", "y", "z"}) == content_key({"z", "y", "x"})
    assert content_key(torch.view_as_complex(torch.ones(2, 2)).conj()) == content_key(
        torch.full((2,), 1 - 1j)
    )


def test_the_key_is_the_same_in_another_process():
    """String hashes differ from process to process; keys must not."""
    code = "from spikeformer.caching import content_key; print(content_key({'a', 'b'}, {'c': 1.5}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == content_key({"a", "b"}, {"c": 1.5})


def test_modules_count_by_state_settings_and_mode():
    net = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.1))
    same, other = copy.deepcopy(net), copy.deepcopy(net)
    assert content_key(net) == content_key(same)
    other[1].p = 0.2
    trained = copy.deepcopy(net)
    with torch.no_grad():
        trained[0].weight[0, 0] += 1
    keys = {content_key(m) for m in (net, other, trained, copy.deepcopy(net).eval())}
    assert len(keys) == 4


def test_functions_count_by_what_they_do():
    def make(factor):
        return lambda x: x * factor

    assert content_key(make(2)) == content_key(make(2))
    assert content_key(make(2)) != content_key(make(3))
    assert content_key(lambda x: x + 1) != content_key(lambda x: x + 2)

    def again(n):
        return again(n - 1)

    assert content_key(again) == content_key(again)


def test_a_list_inside_itself():
    loop: list = [1]
    loop.append(loop)
    assert content_key(loop) == content_key(loop)


def test_strangers_are_refused_with_a_way_out():
    with pytest.raises(ArgumentError, match=r"object.*key=lambda"):
        content_key([object()])
    with pytest.raises(ArgumentError, match="dense"):
        content_key(torch.eye(2).to_sparse())
    with pytest.raises(ArgumentError, match="numbers or strings"):
        content_key(np.array([object()]))


def test_constants_of_code_and_functions_that_call_themselves():
    def first(x):
        return x[..., 0]

    def last(x):
        return x[..., 1]

    assert content_key(first) != content_key(last)
    assert content_key(...) != content_key(NotImplemented)

    def down(n):
        return n and down(n - 1)

    def up(n):
        return n and up(n - 2)

    assert content_key(down) == content_key(down) != content_key(up)


@pytest.mark.parametrize(
    "other",
    [
        "def f(a, b=1, *, c=2, d=3): return a",
        "def f(a, b=9, *, c=2): return a",
        "def f(a, b=1, *, c=9): return a",
        "def f(a, b=1, *, c): return a",
        "def f(a, b, *, c=2): return a",
        "def f(a, *, b=1, c=2): return a",
        "def f(a, b=1, *, d=2): return a",
    ],
)
def test_defaults_are_in_the_key_of_a_function(other):
    def made(source):
        namespace = {"__name__": "somewhere"}
        exec(source, namespace)
        return namespace["f"]

    here = "def f(a, b=1, *, c=2): return a"
    assert content_key(made(here)) == content_key(made(here))
    assert content_key(made(here)) != content_key(made(other))
