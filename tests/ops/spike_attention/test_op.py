"""What `spike_attention` computes: in halves, in half precision; and its arguments."""

from __future__ import annotations

import itertools

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.ops import LifState
from spikeformer.ops.spike_attention import spike_attention
from tests.ops.spike_attention.cases import CASES, interleaved

cases = pytest.mark.parametrize(("mechanism", "causal"), CASES)


@cases
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_two_halves_equal_the_whole(mechanism, causal, backend):
    spikes = interleaved(mechanism, (2, 7, 5, 2, 4))
    options = {"mechanism": mechanism, "causal": causal, "decay": 0.9, "backend": backend}
    whole, final = spike_attention(*spikes, **options)
    first, state = spike_attention(*(x[:, :3] for x in spikes), **options)
    second, last = spike_attention(*(x[:, 3:] for x in spikes), state=state, **options)
    assert torch.equal(torch.cat([first, second], dim=1), whole)
    assert torch.equal(last.membrane, final.membrane)
    assert last.adaptation is None


def test_counts_are_exact_in_half_precision():
    # 300 does not fit bfloat16: it would be rounded to a threshold that it does not reach.
    ones = torch.ones(1, 1, 301, 1, 1, dtype=torch.bfloat16)
    options = {"decay": 0.5, "threshold": 301.0, "scale": 1.0, "reset": "zero"}
    for mechanism, backend in itertools.product(("ssa", "sdsa"), ("reference", "cpu")):
        with torch.autocast("cpu", torch.bfloat16):
            out, state = spike_attention(
                ones, ones, ones, mechanism=mechanism, backend=backend, **options
            )
            fewer, _ = spike_attention(
                ones,
                ones[:, :, 1:],
                ones[:, :, 1:],
                mechanism=mechanism,
                backend=backend,
                **options,
            )
        assert (out.dtype, state.membrane.dtype) == (torch.bfloat16, torch.float32)
        assert (out.min(), fewer.max()) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mechanism": "softmax"}, "`mechanism`"),
        ({"query": torch.ones(1, 2, 3, 4)}, "`query`"),
        ({"query": torch.ones(1, 0, 3, 1, 4)}, "at least one"),
        ({"query": torch.ones(1, 2, 3, 1, 4, dtype=torch.long)}, "floating-point"),
        ({"key": torch.ones(1, 2, 3, 1, 5)}, "`key`"),
        ({"key": torch.ones(1, 2, 3, 1, 4).double()}, "`key`.*float32"),
        ({"key": torch.ones(1, 2, 4, 1, 4), "causal": True}, r"`key`.*\(1, 2, 3, 1, 4\)"),
        ({"key": torch.ones(1, 2, 4, 1, 4), "mechanism": "qk_token", "value": None}, "`key`"),
        ({"mechanism": "qk_token"}, "`value`.*None"),
        ({"value": None}, "`value`.*got None"),
        ({"value": torch.ones(1, 2, 4, 1, 4)}, "`value`"),
        ({"state": LifState(torch.ones(1, 3, 1))}, "`state.membrane`"),
        ({"reset": "soft"}, "`reset`"),
        ({"backend": "gpu"}, "`backend`"),
    ],
)
def test_bad_arguments(changes, message):
    ones = torch.ones(1, 2, 3, 1, 4)
    with pytest.raises(ArgumentError, match=message):
        spike_attention(**{"query": ones, "key": ones, "value": ones, "decay": 0.5} | changes)
