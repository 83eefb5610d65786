"""Concatenation of tokens."""

from __future__ import annotations

import torch

from tests.fusion.networks import in_double, projected


@torch.no_grad()
def test_concat_is_the_projections_in_a_row():
    model, inputs = in_double("concat")
    expected = torch.cat(list(projected(model, inputs).values()), 2)
    assert torch.equal(model(inputs), expected)
    other, _ = in_double("concat", temperature=9.0)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(inputs), expected)
