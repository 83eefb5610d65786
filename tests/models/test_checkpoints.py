"""Authors' state dicts go in whole, or not at all.

That the loaded networks compute what SpikingJelly's modules do, outputs and gradients, is shown by
`scripts/bench/published.py`; here are the names and what becomes of the tensors.
"""

from __future__ import annotations

import argparse
import math
import re
from functools import partial

import pytest
import torch
from torch.nn import functional as F

from spikeformer.error_handling import ConfigurationError
from spikeformer.models import (
    ClassificationHead,
    ConvEmbedding,
    ConvMerging,
    ConvMLP,
    DepthwiseMixing,
    EventEmbedding,
    HierarchicalViT,
    MembraneStem,
    PatchEmbedding,
    SeparableMixing,
    SpikformerStem,
    SpikingAttention,
    SpikingMLP,
    SpikingNetwork,
    SpikingViT,
    load_checkpoint_of,
)
from spikeformer.neurons import IntegerLifNeuron, LifNeuron

SSA = partial(SpikingAttention, dropout=0.0)
WIDTH = 16


def network(model):
    flat = partial(SpikingViT, 3, 8, WIDTH, 2, 2, 2, attention=SSA)
    membrane = {"stem": MembraneStem, "output": "currents"}
    events = partial(
        HierarchicalViT, 2, 8, WIDTH, (2, 2), (1, 1), 2, embedding=EventEmbedding, mlp_ratio=1
    )
    staged = partial(
        HierarchicalViT,
        3,
        8,
        WIDTH,
        (2, 2, 2),
        (1, 1, 2),
        2,
        embedding=partial(PatchEmbedding, downsample="none", num_convs=1),
    )
    backbone = {
        "spikformer": lambda: flat(stem=SpikformerStem, residual="sew"),
        "spike_driven_transformer": lambda: flat(**membrane),
        "spikingformer": lambda: flat(**membrane),
        "qkformer": staged,
        "maxformer": lambda: staged(
            residual="membrane", mixers=[None, DepthwiseMixing, SSA], output="pooled"
        ),
        "spike_driven_v3": lambda: HierarchicalViT(
            3,
            32,
            WIDTH,
            (2,) * 5,
            (1, 1, 2, 1, 1),
            1,
            widths=(4, 6, 8, 12, WIDTH),
            neuron=IntegerLifNeuron,
            embedding=ConvEmbedding,
            merging=ConvMerging,
            residual="membrane",
            output="pooled",
            mixers=[SeparableMixing] * 3 + [partial(SSA, value_ratio=4)] * 2,
            local_mixers=[None] * 3 + [partial(SeparableMixing, kernel_size=3)] * 2,
            mlps=[ConvMLP] * 3 + [SpikingMLP] * 2,
        ),
        "spikingformer_dvs": lambda: flat(**membrane),
        "qkformer_dvs": events,
        "maxformer_dvs": lambda: events(
            residual="membrane",
            mixers=[DepthwiseMixing, SSA],
            output="pooled",
            mlp_shortcut=True,
        ),
        "maxformer_imagenet": lambda: HierarchicalViT(
            3,
            8,
            WIDTH,
            (2, 2),
            (1, 1),
            2,
            embedding=partial(PatchEmbedding, downsample="stride"),
            residual="membrane",
            mixers=[DepthwiseMixing, DepthwiseMixing],
            output="pooled",
        ),
    }[model]()
    return SpikingNetwork(backbone, ClassificationHead(WIDTH, 3))


def layer(name, norm, *shape, bias=False):
    yield f"{name}.weight", torch.randn(shape)
    if bias:
        yield f"{name}.bias", torch.randn(shape[0])
    yield f"{norm}.weight", torch.rand(shape[0]) + 0.5
    yield f"{norm}.bias", torch.randn(shape[0])
    yield f"{norm}.running_mean", torch.randn(shape[0])
    yield f"{norm}.running_var", torch.rand(shape[0]) + 0.5
    yield f"{norm}.num_batches_tracked", torch.tensor(7)


def block(path, width, attention, parts, mlp, conv="conv", ratio=4):
    """A block in the authors' names."""
    for part in parts:
        yield from layer(
            f"{path}.{attention}.{part}_{conv}", f"{path}.{attention}.{part}_bn", width, width, 1
        )
    yield from layer(
        f"{path}.{attention}.proj_{conv}", f"{path}.{attention}.proj_bn", width, width, 1, bias=True
    )
    first, second = (f"{path}.mlp.{mlp}{i}" for i in (1, 2))
    yield from layer(f"{first}_{conv}", f"{first}_bn", ratio * width, width, 1, 1, bias=True)
    yield from layer(f"{second}_{conv}", f"{second}_bn", width, ratio * width, 1, 1, bias=True)


def splitting(names):
    widths = [3, WIDTH // 8, WIDTH // 4, WIDTH // 2, WIDTH, WIDTH]
    for (name, norm), before, after in zip(names, widths, widths[1:], strict=False):
        yield from layer(f"patch_embed.{name}", f"patch_embed.{norm}", after, before, 3, 3)


def merging(path, before, after, names):
    for (name, norm), kernel, inside in zip(names, (3, 3, 1), (before, after, before), strict=True):
        yield from layer(f"{path}.{name}", f"{path}.{norm}", after, inside, kernel, kernel)


def separable(path, width, size):
    shapes = ((2 * width, width, 1), (2 * width, 1, size), (width, 2 * width, 1))
    for name, (after, before, kernel) in zip(("pwconv1", "dwconv", "pwconv2"), shapes, strict=True):
        yield from layer(f"{path}.{name}.0", f"{path}.{name}.1", after, before, kernel, kernel)


def v3():
    """Spike-driven Transformer V3 in its authors' names."""
    widths, names = (3, 4, 6, 8, 12, WIDTH), ("1_1", "1_2", "2", "3", "4")
    for name, before, after, size in zip(names, widths, widths[1:], (7, 3, 3, 3, 3), strict=False):
        path = f"downsample{name}.encode"
        yield from layer(f"{path}_conv", f"{path}_bn", after, before, size, size, bias=True)
    for name, width in (("1_1", 4), ("1_2", 6), ("2_1", 8), ("2_2", 8)):
        path = f"ConvBlock{name}.0"
        yield from separable(f"{path}.Conv", width, 7)
        yield from layer(f"{path}.conv1", f"{path}.bn1", 4 * width, width, 3, 3)
        yield from layer(f"{path}.conv2", f"{path}.bn2", width, 4 * width, 3, 3)
    for name, width in (("block3.0", 12), ("block4.0", WIDTH)):
        yield from separable(f"{name}.conv", width, 3)
        for part, after, before in (("q", 1, 1), ("k", 1, 1), ("v", 4, 1), ("proj", 1, 4)):
            path = f"{name}.attn.{part}_conv"
            yield from layer(f"{path}.0", f"{path}.1", after * width, before * width, 1, 1)
        for part, after, before in (("fc1", 4, 1), ("fc2", 1, 4)):
            path = f"{name}.mlp.{part}"
            shape = (after * width, before * width, 1)
            yield from layer(f"{path}_conv", f"{path}_bn", *shape, bias=True)


def authors(model):
    """A state dict with the names of the authors' code."""
    sps = [("proj_conv", "proj_bn"), *((f"proj_conv{i}", f"proj_bn{i}") for i in (1, 2, 3))]
    state = []
    if model in ("spikformer", "spike_driven_transformer"):
        state += splitting([*sps, ("rpe_conv", "rpe_bn")])
        for i in range(2):
            state += block(f"block.{i}", WIDTH, "attn", "qkv", "fc")
    if model == "spike_driven_transformer":
        state += [("block.0.attn.talking_heads.weight", torch.randn(2, 2, 1))]
    if model == "spikformer":
        state += [("block.1.norm1.weight", torch.ones(WIDTH))]
    if model == "spikingformer":
        state += splitting([(f"block{i}_conv", f"block{i}_bn") for i in range(5)])
        for i in range(2):
            state += block(f"block.{i}", WIDTH, "attn", "qkv", "mlp")
    if model == "qkformer":
        names = [
            ("proj3_conv", "proj3_bn"),
            ("proj4_conv", "proj4_bn"),
            ("proj_res_conv", "proj_res_bn"),
        ]
        state += layer("patch_embed1.proj_conv", "patch_embed1.proj_bn", 2, 3, 3, 3)
        state += layer("patch_embed1.proj1_conv", "patch_embed1.proj1_bn", 4, 2, 3, 3)
        state += layer("patch_embed1.proj_res_conv", "patch_embed1.proj_res_bn", 4, 2, 1, 1)
        state += merging("patch_embed2", 4, 8, names)
        state += merging("patch_embed3", 8, 16, names)
        state += block("stage1.0", 4, "tssa", "qk", "mlp")
        state += block("stage2.0", 8, "tssa", "qk", "mlp")
        state += block("stage3.0", 16, "ssa", "qkv", "mlp")
        state += block("stage3.1", 16, "ssa", "qkv", "mlp")
    if model == "maxformer":
        paths = ("max_embed1", "embed1", "max_embed2")
        names = [(f"{path}.embed_conv", f"{path}.embed_bn") for path in paths]
        state += layer("patch_embed1.proj_conv", "patch_embed1.proj_bn", 2, 3, 3, 3)
        state += layer("patch_embed1.embed1.embed_conv", "patch_embed1.embed1.embed_bn", 4, 2, 3, 3)
        state += layer("patch_embed1.embed2.embed_conv", "patch_embed1.embed2.embed_bn", 4, 2, 1, 1)
        state += merging("patch_embed2", 4, 8, names)
        state += merging("patch_embed3", 8, 16, names)
        mlps = [item for item in block("stage1.0", 4, "attn", "", "fc") if ".mlp." in item[0]]
        state += mlps
        state += [item for item in block("stage2.0", 8, "attn", "", "fc") if ".mlp." in item[0]]
        state += layer("stage2.0.mixer.conv", "stage2.0.mixer.conv_bn", 8, 1, 3, 3, bias=True)
        state += block("stage3.0", 16, "attn", "qkv", "fc")
        state += block("stage3.1", 16, "attn", "qkv", "fc")
    if model == "spike_driven_v3":
        state += v3()
    if model == "spikingformer_dvs":
        names = ["proj", *(f"proj{i}" for i in range(1, 5))]
        state += splitting([(f"{name}_conv", f"{name}_bn") for name in names])
        for i in range(2):
            state += block(f"block.{i}", WIDTH, "attn", "qkv", "mlp")
    if model == "qkformer_dvs":
        for name, after, before, size in (
            ("proj", 1, 2, 3),
            ("proj1", 2, 1, 3),
            ("proj2", 4, 2, 3),
            ("proj3", 8, 4, 3),
            ("proj_res", 8, 2, 1),
        ):
            path = f"patch_embed1.{name}"
            state += layer(f"{path}_conv", f"{path}_bn", after, before, size, size)
        names = [(f"{name}_conv", f"{name}_bn") for name in ("proj", "proj4", "proj_res")]
        state += merging("patch_embed2", 8, 16, names)
        state += block("stage1.0", 8, "tssa", "qk", "mlp", ratio=1)
        state += block("stage2.0", 16, "ssa", "qkv", "mlp", ratio=1)
    if model == "maxformer_dvs":
        state += layer("patch_embed1.proj_conv", "patch_embed1.proj_bn", 1, 2, 3, 3)
        embeds = (("max_embed1", 2, 1, 3), ("max_embed2", 4, 2, 3), ("max_embed3", 8, 4, 3))
        for name, after, before, size in (*embeds, ("embed1", 8, 2, 1)):
            path = f"patch_embed1.{name}.embed"
            state += layer(f"{path}_conv", f"{path}_bn", after, before, size, size)
        paths = ("max_embed1", "embed1", "max_embed2")
        names = [(f"{path}.embed_conv", f"{path}.embed_bn") for path in paths]
        state += merging("patch_embed2", 8, 16, names)
        state += layer("stage1.0.mixer.conv", "stage1.0.mixer.conv_bn", 8, 1, 3, 3, bias=True)
        mlps = block("stage1.0", 8, "attn", "", "fc", ratio=1)
        state += [item for item in mlps if ".mlp." in item[0]]
        state += block("stage2.0", 16, "attn", "qkv", "fc", ratio=1)
    if model == "maxformer_imagenet":
        for name, after, before, size in (
            ("embed1", 4, 3, 3),
            ("embed2", 8, 4, 3),
            ("embed3", 8, 8, 3),
            ("embed4", 8, 4, 1),
        ):
            path = f"patch_embed1.{name}.embed"
            state += layer(f"{path}_conv", f"{path}_bn", after, before, size, size)
        paths = ("max_embed1", "embed1", "max_embed2")
        names = [(f"{path}.embed_conv", f"{path}.embed_bn") for path in paths]
        state += merging("patch_embed2", 8, 16, names)
        for stage, width, conv in ((1, 8, "conv5"), (2, 16, "conv")):
            path = f"stage{stage}.0"
            mixer = f"{path}.mixer.{conv}"
            state += layer(mixer, f"{mixer}_bn", width, 1, 3, 3, bias=True)
            mlps = block(path, width, "attn", "", "fc")
            state += [item for item in mlps if ".mlp." in item[0]]
    state += [("head.weight", torch.randn(3, WIDTH)), ("head.bias", torch.randn(3))]
    return dict(state)


MODELS = (
    "spikformer",
    "spike_driven_transformer",
    "spikingformer",
    "qkformer",
    "maxformer",
    "spikingformer_dvs",
    "qkformer_dvs",
    "maxformer_dvs",
    "maxformer_imagenet",
    "spike_driven_v3",
)


@pytest.mark.parametrize("model", MODELS)
def test_every_tensor_of_the_authors_lands(model):
    state, net = authors(model), network(model)
    family = re.sub("_(dvs|imagenet)$", "", model)
    assert load_checkpoint_of(family, state, net) is net
    given = sum(v.numel() for k, v in state.items() if not re.search(r"talking|norm1|tracked", k))
    biases = sum(
        v.numel()
        for k, v in state.items()
        if k.endswith(".bias")
        and v.shape == state.get(k[:-4] + "weight", v)[:, None].shape[:1]
        and state[k[:-4] + "weight"].ndim > 1
        and k != "head.bias"
    )
    own = sum(v.numel() for k, v in net.state_dict().items() if not k.endswith("tracked"))
    assert own == given - biases
    counts = 4 if model == "spike_driven_v3" else 1  # spikes of a head that takes fractions here
    assert torch.equal(net.head.readout.weight, counts * state["head.weight"])


def test_queries_keys_and_values_stand_one_below_the_other():
    state, net = authors("qkformer"), network("qkformer")
    load_checkpoint_of("qkformer", state, net)
    attention = net.backbone.stages[2].blocks[1].attention
    parts = [state[f"stage3.1.ssa.{part}_conv.weight"].squeeze(-1) for part in "qkv"]
    assert torch.equal(attention.qkv.weight, torch.cat(parts))
    means = [state[f"stage3.1.ssa.{part}_bn.running_mean"] for part in "qkv"]
    assert torch.equal(attention.qkv_norm.running_mean, torch.cat(means))
    assert int(attention.qkv_norm.num_batches_tracked) == 7


def test_a_bias_in_front_of_a_batch_norm_goes_into_its_mean():
    state, net = authors("spikingformer"), network("spikingformer").eval()
    load_checkpoint_of("spikingformer", state, net)
    mlp, theirs = net.backbone.blocks.blocks[0].mlp, "block.0.mlp.mlp1"
    x = torch.rand(5, WIDTH)
    current = F.linear(x, state[f"{theirs}_conv.weight"].flatten(1), state[f"{theirs}_conv.bias"])
    norm = [state[f"{theirs}_bn.{k}"] for k in ("running_mean", "running_var", "weight", "bias")]
    expected = F.batch_norm(current, *norm)
    torch.testing.assert_close(mlp.expand_norm(mlp.expand(x[None, None])), expected[None, None])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("stage2.0.tssa.proj_bn.running_var"), r"absent: .*stages\.1.*out_norm"),
        (lambda s: s.pop("stage3.0.ssa.v_conv.weight"), r"of another shape: .*qkv\.weight \[32"),
        (lambda s: s.update({"extra.weight": torch.ones(2)}), "unknown: extra.weight"),
        (lambda s: s.update({"head.weight": torch.ones(7, WIDTH)}), r"\[7, 16\] for \[3, 16\]"),
    ],
)
def test_other_checkpoints_are_named_and_nothing_is_loaded(change, message):
    state, net = authors("qkformer"), network("qkformer")
    before = {key: value.clone() for key, value in net.state_dict().items()}
    change(state)
    with pytest.raises(ConfigurationError, match=message):
        load_checkpoint_of("qkformer", state, net)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


def test_a_checkpoint_of_another_model_is_refused():
    with pytest.raises(ConfigurationError, match="another network"):
        load_checkpoint_of("qkformer", authors("spikformer"), network("qkformer"))


def test_files_as_training_scripts_write_them(tmp_path):
    state = {f"module.{key}": value for key, value in authors("spikformer").items()}
    content = {"epoch": 3, "args": argparse.Namespace(lr=0.1), "state_dict": state}
    torch.save(content, tmp_path / "checkpoint.pth.tar")
    net = load_checkpoint_of("spikformer", tmp_path / "checkpoint.pth.tar", network("spikformer"))
    assert torch.equal(net.head.readout.bias, state["module.head.bias"])


@pytest.mark.parametrize("content", [{"state_dict": {}}, [1], {"step": math.pi}])
def test_files_that_are_none(tmp_path, content):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(ConfigurationError):
        load_checkpoint_of("qkformer", tmp_path / "x.pth", network("qkformer"))


def test_a_file_with_code_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / "evil"), "w")

    torch.save({"state_dict": Evil()}, tmp_path / "x.pth")
    with pytest.raises(ConfigurationError, match="no checkpoint that can be read"):
        load_checkpoint_of("qkformer", tmp_path / "x.pth", network("qkformer"))
    assert not (tmp_path / "evil").exists()


def test_weights_for_integers_need_integers():
    state, net = authors("spike_driven_v3"), network("spike_driven_v3")
    for module in net.modules():
        for name, child in module.named_children():
            if isinstance(child, IntegerLifNeuron):
                setattr(module, name, LifNeuron())
    with pytest.raises(ConfigurationError, match="neuron=ilif"):
        load_checkpoint_of("spike_driven_v3", state, net)
