"""What is not counted multiplies nothing."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import flop_registry

from spikeformer.profiling.counting.free import is_free

aten = torch.ops.aten
COUNTED = [packet for packet in flop_registry if isinstance(packet, torch._ops.OpOverloadPacket)]


@pytest.mark.parametrize("packet", COUNTED, ids=str)
def test_is_free_of_nothing_that_torch_counts(packet):
    for overload in packet.overloads():
        assert not is_free(getattr(packet, overload))


@pytest.mark.parametrize(
    "operation",
    [
        aten.add.Tensor,
        aten.relu.default,
        aten.view.default,
        aten.max_pool2d_with_indices.default,
        aten.sum.dim_IntList,
        aten.zeros_like.default,
        aten.hardtanh.default,
        torch.ops.spikeformer.spike_pack.default,
    ],
    ids=str,
)
def test_is_free_of_what_moves_compares_and_reduces(operation):
    assert is_free(operation)


def test_is_free_of_no_operation_that_it_does_not_know():
    @torch.library.custom_op("spikeformer_tests::unknown", mutates_args=())
    def unknown(x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    assert not is_free(torch.ops.spikeformer_tests.unknown.default)
