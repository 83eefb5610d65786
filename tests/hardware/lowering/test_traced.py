"""Tensors that remember where their elements come from move them as torch does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeformer.hardware.lowering.current import Current
from spikeformer.hardware.lowering.traced import (
    MixedTimeError,
    Rows,
    TracedTensor,
    elementwise,
    recording,
    reduced,
)

STEPS, SHAPE = 2, (3, 4)
SIZE = 12


def traced(constant=False):
    current = Current.of("in", SIZE, constant=constant)
    steps = 1 if constant else STEPS
    index = torch.arange(steps * SIZE).view(1, *(() if constant else (STEPS,)), *SHAPE)
    return TracedTensor(current, index)


def values(x, spikes):
    """What a traced tensor stands for, with spikes (timesteps, size) of its source."""
    of_steps = [
        sum((op.matrix() @ spikes[t] for op in x.current.terms.values()), x.current.bias)
        for t in range(len(spikes))
    ]
    return np.concatenate(of_steps)[x.index.numpy()]


@pytest.mark.parametrize(
    "move",
    [
        lambda x: x.transpose(2, 3),
        lambda x: x.flatten(2),
        lambda x: x[:, :, 1:, ::2],
        lambda x: x.flip(3).roll(1, 2),
        lambda x: x.unsqueeze(2).expand(1, STEPS, 5, *SHAPE),
        lambda x: x.permute(0, 1, 3, 2).reshape(1, STEPS, 2, 6),
        lambda x: x.unbind(2)[1],
        lambda x: x.split([1, 2], dim=2)[1].repeat(1, 1, 2, 1),
        lambda x: x.index_select(3, torch.tensor([3, 0])),
    ],
)
def test_traced_tensor_moves_elements_as_torch_does(move):
    spikes = np.random.default_rng(0).random((STEPS, SIZE))
    plain = torch.from_numpy(spikes).view(1, STEPS, *SHAPE)
    found = move(traced())
    assert found.shape == move(plain).shape
    np.testing.assert_array_equal(values(found, spikes), move(plain).numpy())
    assert "in" in repr(found)


def test_recording_asks_for_what_is_no_move():
    asked = []

    def recorder(operator, args, kwargs):
        asked.append(str(operator))
        return args[0]

    with recording(recorder):
        traced().tanh()
    assert asked == ["aten.tanh"]


def test_rows_are_those_of_one_timestep():
    rows = Rows(traced().transpose(2, 3), 1)
    assert (rows.count, rows.width, rows.num_steps) == (4, 3, STEPS)
    spikes = np.arange(STEPS * SIZE, dtype=float).reshape(STEPS, SIZE)
    doubled = rows.rebuild(rows.features.scale(2.0), (3,))
    plain = torch.from_numpy(spikes).view(1, STEPS, *SHAPE).transpose(2, 3)
    np.testing.assert_array_equal(values(doubled, spikes), 2 * plain.numpy())
    assert Rows(traced(constant=True), 2).num_steps is None


def test_rows_refuse_to_mix_timesteps():
    with pytest.raises(MixedTimeError):
        Rows(traced().permute(0, 2, 3, 1), 1)
    with pytest.raises(MixedTimeError):
        elementwise(traced(), traced().flip(1), Current.add)


def test_elementwise_broadcasts():
    spikes = np.random.default_rng(0).random((STEPS, SIZE))
    plain = torch.from_numpy(spikes).view(1, STEPS, *SHAPE)
    x = traced()
    found = elementwise(x, x[:, :, :1], Current.add)
    np.testing.assert_allclose(values(found, spikes), (plain + plain[:, :, :1]).numpy())


def test_reduced_gives_the_rows_of_a_sum():
    rows, shape = reduced(traced(), [2], keepdim=True)
    assert shape == [1, STEPS, 1, 4]
    assert (rows.width, rows.count) == (3, 4)
