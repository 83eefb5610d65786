"""The CPU kernels of `spike_attention` where heads fill, exceed and straddle words of 32."""

from __future__ import annotations

import pytest
import torch

from spikeformer.ops.spike_attention import spike_attention
from tests.ops.spike_attention.cases import CASES, assert_matches_reference, interleaved

cases = pytest.mark.parametrize(("mechanism", "causal"), CASES)


@cases
@pytest.mark.parametrize("shape", [(2, 2, 35, 3, 32), (1, 3, 33, 2, 64), (2, 2, 64, 2, 40)])
def test_blocks(mechanism, causal, shape):
    spikes = interleaved(mechanism, shape, rate=0.15)
    assert_matches_reference(spikes, "cpu", mechanism, causal, scale=0.25)


def test_blocks_in_half_precision():
    for mechanism, causal in CASES:
        spikes = interleaved(mechanism, (1, 2, 35, 3, 32), rate=0.15, dtype=torch.bfloat16)
        assert_matches_reference(spikes, "cpu", mechanism, causal, scale=0.25)


@pytest.mark.parametrize(
    ("mechanism", "causal"), [case for case in CASES if case != ("ssa", True)]
)  # Causal SSA multiplies floats.
def test_whatever_is_not_zero_is_a_spike(mechanism, causal):
    spikes = interleaved(mechanism, (2, 3, 5, 2, 32))
    # What a straight-through estimator computes for 1, and zero with a sign.
    rough = [x * (1 - 2**-24) - 0.0 * (1 - x) for x in spikes]
    options = {"mechanism": mechanism, "causal": causal, "decay": 0.9, "backend": "cpu"}
    out, _ = spike_attention(*rough, **options)
    assert torch.equal(out, spike_attention(*spikes, **options)[0])
