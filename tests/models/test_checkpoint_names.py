from __future__ import annotations

import torch

from spikeformer.models.checkpoint_names import renamed


def test_stages_count_from_0_and_projections_become_one():
    query, key = torch.randn(2, 3, 1), torch.randn(2, 3, 1)
    state = {
        "stage2.1.tssa.q_conv.weight": query,
        "stage2.1.tssa.k_conv.weight": key,
        "stage2.1.tssa.odd.weight": key,
        "head.bias": torch.zeros(4),
    }
    found, unknown = renamed("qkformer", state)
    assert found.keys() == {"backbone.stages.1.blocks.1.attention.qkv.weight", "head.readout.bias"}
    joined = found["backbone.stages.1.blocks.1.attention.qkv.weight"]
    assert torch.equal(joined, torch.cat([query, key]))
    assert unknown == ["stage2.1.tssa.odd.weight"]


def test_a_shortcut_that_begins_with_a_neuron_counts_its_layers_all_the_same():
    convolution, norm = torch.randn(4, 2, 1, 1), torch.randn(4)
    path = "backbone.embeddings.0.merging.shortcut"
    expected = {f"{path}.conv.weight": convolution, f"{path}.norm.weight": norm}
    for first in (0, 1):
        names = (f"patch_embed1.shortcut.{first + place}.weight" for place in (0, 1))
        found, unknown = renamed("qkformer", dict(zip(names, (convolution, norm), strict=True)))
        assert (found, unknown) == (expected, [])


def test_an_embedding_of_events_has_the_same_names_for_other_layers():
    state = {f"patch_embed1.{name}_conv.weight": torch.zeros(1) for name in ("proj", "proj1")}
    images, _ = renamed("qkformer", state)
    events, _ = renamed("qkformer", {**state, "patch_embed1.proj3_conv.weight": torch.zeros(1)})
    first = "backbone.embeddings.0"
    assert images.keys() == {f"{first}.conv.conv.weight", f"{first}.merging.convs.0.conv.weight"}
    chain = {f"{first}.convs.{place}.conv.weight" for place in (0, 1)}
    assert events.keys() == {*chain, f"{first}.merging.convs.1.conv.weight"}


def test_layers_that_never_run_have_no_name():
    unused = {"block.0.norm1.weight": torch.ones(2), "block.1.attn.talking_heads.weight": None}
    assert renamed("spikformer", unused) == ({}, [])
