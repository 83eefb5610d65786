from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware.ir.differential import Scheme
from spikeformer.hardware.ir.runtime import Host
from spikeformer.hardware.lowering.tape import Tape


def mixed(x, ids, mask):
    """Something of each kind that networks do between their layers."""
    first, second, third = x.split([1, 2, 1], dim=-1)
    rows = torch.stack(x.unbind(1), dim=1) + torch.arange(3.0)[None, :, None]
    table = torch.linspace(-1, 1, 20, dtype=torch.float64).reshape(5, 4)
    y = torch.cat([second, first, third], dim=-1) * rows.float() + table[ids]
    allowed = mask[:, None, :].bool() & torch.ones(3, 3, dtype=torch.bool).tril()
    scores = (y @ y.transpose(1, 2)).masked_fill(~allowed, -torch.inf)
    picked = torch.where(allowed.any(-1, keepdim=True), scores.softmax(-1) @ y, y[:, :1])
    return torch.nn.functional.gelu(picked)[torch.arange(1), ids.argmax(-1)]


INPUTS = {
    "x": torch.linspace(-1, 2, 12, dtype=torch.float64).reshape(1, 3, 4),
    "ids": torch.tensor([[0, 4, 2]]),
    "mask": torch.tensor([[1, 1, 0]]),
}


def taped(function, inputs):
    tape = Tape(lambda: "block")
    for name, tensor in inputs.items():
        tape.name(tensor, name)
    with torch.no_grad(), tape:
        output = function(**inputs)
    return tape, output


def test_what_was_written_down_computes_the_same_for_other_inputs():
    tape, output = taped(mixed, {name: x.clone() for name, x in INPUTS.items()})
    others = {"x": INPUTS["x"].flip(1), "ids": INPUTS["ids"].flip(1), "mask": torch.ones(1, 3)}
    host = Host(tape.constants, Scheme(8), {})
    for inputs in (INPUTS, others):
        values = {**host.constants, **{name: x.double().numpy() for name, x in inputs.items()}}
        for function in tape.functions.values():
            host.run(function, values, 1, {})
        expected = mixed(**{name: x.clone() for name, x in inputs.items()})
        # The network casts to float32 on its way, the host does not.
        np.testing.assert_allclose(values[tape.name_of(output)], expected.numpy(), rtol=1e-6)
    assert {f.module for f in tape.functions.values()} == {"block"}


def test_moves_are_followed_to_what_they_move():
    def move(x):
        return (2 * x).reshape(3, 4).t().unsqueeze(0)[:, 1:]

    tape, output = taped(move, {"x": INPUTS["x"].clone()})
    origin, moves = tape.origin(tape.name_of(output))
    assert origin == "block:mul"
    assert [move.function for move in moves][:3] == ["view", "t", "unsqueeze"]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: x.add_(1), "in place"),
        (lambda x: torch.linalg.inv(x[0, :, :3]), "linalg_inv"),
        (lambda x: x * x.max().item(), "max"),
        (lambda x: x if (x > 0).all() else -x, "_local_scalar_dense"),
        (lambda x: x.long() & 1, "bitwise_and of integers"),
        (lambda x: torch.conv1d(x, torch.ones(3, 1, 2).double(), groups=3), "grouped"),
        (lambda x: torch.conv1d(x, torch.ones(1, 3, 2).double(), dilation=2), "dilated"),
    ],
)
def test_what_the_host_does_not_have_is_refused_by_its_layer(function, said):
    with pytest.raises(HardwareCompatibilityError, match=f"'block'.*{said}"):
        taped(function, {"x": INPUTS["x"].clone()})


def test_a_look_at_whole_numbers_is_no_function_of_the_host():
    """As `transformers` looks whether any token is padding."""
    tape, _ = taped(
        lambda mask: mask * 2 if mask.all() else mask + 1, {"mask": INPUTS["mask"].clone()}
    )
    assert [f.function for f in tape.functions.values()] == ["all", "add"]


def test_a_constant_that_is_written_into_counts_as_it_is_when_it_is_used():
    def grow(x):
        total = torch.zeros(4, dtype=torch.float64)
        y = x + total
        total += 1
        return y + total

    tape, _ = taped(grow, {"x": INPUTS["x"].clone()})
    assert [constant.tolist() for constant in tape.constants.values()] == [[0.0] * 4, [1.0] * 4]
