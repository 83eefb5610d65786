"""Networks whose currents backward computes again: same numbers, and bits in memory."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef

from spikeformer.error_handling import ArgumentError
from spikeformer.models import (
    ClassificationHead,
    HierarchicalViT,
    SpikingAttention,
    SpikingNetwork,
    SpikingViT,
    recompute_currents,
)
from spikeformer.models.mechanisms import QKTokenAttention
from spikeformer.models.membrane_stem import MembraneStem
from spikeformer.models.norm import RECOMPUTED
from spikeformer.training.memory import saved_bytes

BATCH, SIDE, WIDTH = 2, 16, 32


def vit(timesteps=3, **options):
    options = {"num_layers": 2, "stem_strides": [2, 2], "nhead": 2, **options}
    return SpikingViT(3, options.pop("side", SIDE), WIDTH, timesteps=timesteps, **options)


def hierarchical(**options):
    mixers = [partial(SpikingAttention, mechanism=QKTokenAttention)] * 2
    return HierarchicalViT(
        3, SIDE, WIDTH, mixers=mixers, nheads=[2, 2], depths=[1, 2], timesteps=3, **options
    )


def outcome(make, inputs, currents, autocast=False):
    """Outputs, all gradients and running statistics of one training step."""
    torch.manual_seed(0)
    net = make().to(inputs.dtype if inputs.is_floating_point() else torch.float32)
    recompute_currents(net, currents)
    given = inputs.clone().requires_grad_(inputs.is_floating_point())
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        out = net(given)
    weights = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view_as(out)
    (out.double() * weights).sum().backward()
    grads = [x.grad for x in (given, *net.parameters()) if x.grad is not None]
    return [out, *grads, *net.buffers()]


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (vit, {}),
        (partial(vit, 5, side=(12, 20), num_layers=3, dropout=0.3), {"shape": (3, 3, 12, 20)}),
        (vit, {"dtype": torch.float64}),
        (vit, {"autocast": True}),
        (partial(vit, norm="layer"), {}),
        (partial(vit, residual="sew"), {}),
        (partial(vit, stem=partial(MembraneStem, pool=[True] * 4)), {}),
        (partial(hierarchical, residual="sew"), {}),
        (partial(hierarchical, residual="membrane", mlp_ratio=1.0, mlp_shortcut=True), {}),
    ],
    ids=[
        "vit",
        "rectangle",
        "float64",
        "autocast",
        "layer_norm",
        "vit_sew",
        "membrane_stem",
        "hierarchical_sew",
        "hierarchical_membrane",
    ],
)
def test_outputs_and_gradients_stay_as_they_are(make, options):
    torch.manual_seed(1)
    shape, dtype = options.get("shape", (BATCH, 3, SIDE, SIDE)), options.get("dtype")
    images = torch.rand(shape, dtype=dtype)
    expected, *others = (
        outcome(make, images, currents, options.get("autocast", False)) for currents in RECOMPUTED
    )
    for found in others:
        assert len(found) == len(expected)
        assert all(map(torch.equal, found, expected))
    assert all(x.any() for x in expected[:2])


def kept_bytes(timesteps, currents):
    net = vit(timesteps)
    recompute_currents(net, currents)
    return saved_bytes(net, torch.rand(BATCH, 3, SIDE, SIDE))


def test_memory_grows_over_timesteps_by_bits_alone():
    growth = {c: (kept_bytes(8, c) - kept_bytes(4, c)) / 4 for c in RECOMPUTED}
    tokens = BATCH * (SIDE // 4) ** 2
    # Of each channel of a token, in front of convolutions 2 (four pixels of half the channels) and
    # 1; in a block, in front of projections 1, of attention 2, of its output 1, of the MLP's layers
    # 1 and 4, and 1 of dropout.
    bits = 2 + 1 + 2 * (1 + 2 + 1 + 1 + 4 + 1)
    assert growth["all"] == tokens * WIDTH * bits / 8
    # Of each block, hidden currents are 4, and those of Q and K 2.
    assert growth["none"] - growth["hidden"] == 4 * tokens * WIDTH * 2 * (4 + 2)


def test_nothing_else_holds_currents():
    net, outputs = vit(4), []
    recompute_currents(net)
    for name, module in net.named_modules():
        # Attention's neurons are called where there are hooks, and their spikes kept.
        if not list(module.children()) and not name.endswith(("qkv_neuron", "mechanism.neuron")):
            module.register_forward_hook(
                lambda module, args, out: outputs.append(StorageWeakRef(out.untyped_storage()))
            )
    pooled = net(torch.rand(BATCH, 3, SIDE, SIDE)).mean()
    # The first convolution's currents, the same at every timestep, stay.
    assert [output.expired() for output in outputs] == [False] + [True] * (len(outputs) - 1)
    assert len(outputs) > 20
    assert pooled.requires_grad


def test_layers_with_hooks_are_called():
    net, seen = vit(), []
    recompute_currents(net)
    block = net.blocks.blocks[0]
    block.mlp.expand.register_forward_hook(lambda *call: seen.append("layer"))
    block.attention.qkv_neuron.register_forward_hook(lambda *call: seen.append("neuron"))
    net(torch.rand(1, 3, SIDE, SIDE))
    assert seen == ["neuron", "layer"]


def test_blocks_with_hooks_leave_no_recipe_behind():
    net = vit(num_layers=1)
    recompute_currents(net)
    expected = kept_bytes(4, "all")
    for block in net.blocks.blocks:
        block.register_forward_hook(lambda *call: None)
    assert saved_bytes(net, torch.rand(BATCH, 3, SIDE, SIDE)) > expected


def test_a_network_is_saved_as_it_would_be_without(tmp_path):
    net = SpikingNetwork(vit(num_layers=1), ClassificationHead(WIDTH, num_classes=3))
    recompute_currents(net)
    net.save_pretrained(tmp_path)
    assert SpikingNetwork.from_pretrained(tmp_path).backbone.timesteps == 3


def test_can_be_taken_back_and_refuses_other_names():
    net = vit()
    recompute_currents(net)
    recompute_currents(net, "none")
    assert not any(getattr(module, "recompute", False) for module in net.modules())
    with pytest.raises(ArgumentError, match=r"`recompute`.*hidden"):
        recompute_currents(net, "some")
