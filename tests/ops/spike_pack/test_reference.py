"""The bits of the reference are those of NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeformer.ops.spike_pack.reference import pack_reference, unpack_reference


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 250])
def test_pack_reference_is_numpys_and_unpack_reference_undoes_it(size):
    spikes = (torch.rand(size) < 0.4).double() * 3
    bits = pack_reference(spikes)
    expected = np.packbits(spikes.numpy() != 0, bitorder="little")
    np.testing.assert_array_equal(bits.numpy(), expected)
    found = unpack_reference(bits, size, torch.bfloat16)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found.double(), (spikes != 0).double())
