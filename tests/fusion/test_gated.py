"""Gated fusion by its equation."""

from __future__ import annotations

import torch

from tests.fusion.networks import DIMS, T, in_double, lif, projected


@torch.no_grad()
def test_gates_let_heads_of_a_modality_pass():
    model, inputs = in_double("gated", temperature=1.7)
    x = projected(model, inputs)
    fired = {name: lif(x[name], 0.5) for name in DIMS}
    asked = sum((fired[name] @ model.gates[name].weight.T).mean(2) for name in DIMS)
    gates = lif(1.7 * model.gate_norm(asked[:, :, None])[:, :, 0], 0.5).view(4, T, 3, 2)
    assert 0 < gates.mean() < 1
    expected = []
    for number, name in enumerate(DIMS):
        gate = gates[:, :, number, :, None].expand(-1, -1, -1, 4).flatten(2)
        out = (fired[name] * gate[:, :, None]) @ model.outs[name].weight.T
        expected.append(model.out_norms[name](out))
    torch.testing.assert_close(model(inputs), torch.cat(expected, 2))
