"""Time of a step by kind of operation."""

from __future__ import annotations

import pytest
import torch
from bench import operations
from torch.nn import functional as F

from spikeformer.ops import lif


def test_kinds_are_read_off_names():
    named = {
        "aten::mkldnn_convolution": "convolution",
        "aten::convolution_backward": "convolution",
        "aten::addmm": "dense",
        "aten::addcmul_": operations.OTHER,
        "spikeformer::norm_lif_backward": "norm and neurons, fused",
        "spikeformer::spike_attention": "attention, fused",
        "GeneratedBackwardFor_spikeformer_norm_lif_default": "norm and neurons, fused",
        "spikeformer::spike_unpack": "packing of spikes",
        "aten::native_batch_norm": "norm",
        "aten::max_pool2d_with_indices": "pooling",
        "Optimizer.step#AdamW.step": "optimizer",
        "aten::copy_": "copies",
    }
    assert {name: operations.kind_of(name) for name in named} == named


def test_times_of_a_kind_add_up():
    spent = {"aten::mm": 1000.0, "aten::addmm": 3000.0, "aten::copy_": 500.0}
    assert operations.by_kind(spent, 2) == pytest.approx({"dense": 2.0, "copies": 0.25})


def test_a_step_is_seen_through_fused_kernels():
    images, weight = torch.rand(2, 3, 16, 16), torch.rand(4, 3, 3, 3, requires_grad=True)

    def step():
        current = F.conv2d(images, weight).unflatten(0, (1, 2))
        lif(current, decay=0.5)[0].sum().backward()

    assert {"convolution", "norm and neurons, fused"} <= operations.measure(step, 1).keys()
