"""What published models' layers are called here, by their names in other code."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

Rules = tuple[tuple[str, str], ...]

# Groups of a pattern: numbers count stages from 1 there and from 0 here.
_ATTENTION: Rules = (
    (r"attn\.(qkv_conv_bn|qk_conv_bn|qkv)\.0", "attention.qkv"),
    (r"attn\.(qkv_conv_bn|qk_conv_bn|qkv)\.1", "attention.qkv_norm"),
    (r"attn\.(proj_conv_bn|proj)\.0", "attention.out"),
    (r"attn\.(proj_conv_bn|proj)\.1", "attention.out_norm"),
    (r"(?:attn|tssa|ssa)\.([qkv])_(?:conv(?:\.0)?|linear)", r"attention.\1"),
    (r"(?:attn|tssa|ssa)\.([qkv])_(?:bn|conv\.1)", r"attention.\1_norm"),
    (r"(?:attn|tssa|ssa)\.proj_(?:conv(?:\.0)?|linear)", "attention.out"),
    (r"(?:attn|tssa|ssa)\.proj_(?:bn|conv\.1)", "attention.out_norm"),
)
_MLP: Rules = (
    (r"mlp\.fc1(?:\.0|_conv|_linear|)", "mlp.expand"),
    (r"mlp\.fc2(?:\.0|_conv|_linear|)", "mlp.contract"),
    (r"mlp\.(?:fc1\.1|fc1_bn|bn1|mlp1_bn)", "mlp.expand_norm"),
    (r"mlp\.(?:fc2\.1|fc2_bn|bn2|mlp2_bn)", "mlp.contract_norm"),
    (r"mlp\.mlp1_conv", "mlp.expand"),
    (r"mlp\.mlp2_conv", "mlp.contract"),
)
_HEAD: Rules = ((r"head", "head.readout"),)


def _in_blocks(rules: Rules) -> Rules:
    """Put the rules of a flat model's block behind its name."""
    return tuple(
        (rf"blocks?\.(\d+)\.{a}", _shifted(b, r"backbone.blocks.blocks.\1.")) for a, b in rules
    )


def _in_stages(rules: Rules) -> Rules:
    """Put the rules of a hierarchical model's block behind its name; its stages count from 1."""
    put = r"backbone.stages.<\1>.blocks.\2."
    return tuple((rf"stage(\d)\.(\d+)\.{a}", _shifted(b, put, 2)) for a, b in rules)


def _shifted(replacement: str, before: str, groups: int = 1) -> str:
    """Return a replacement behind another one, which takes the first groups."""
    return before + re.sub(r"\\(\d)", lambda m: rf"\{int(m[1]) + groups}", replacement)


def _conv(theirs: str, norm: str, ours: str) -> Rules:
    """Name a convolution and its batch norm."""
    return ((theirs, f"{ours}.conv"), (norm, f"{ours}.norm"))


def _embed(theirs: str, ours: str) -> Rules:
    """Name a convolution of Max-Former's first embedding, and its batch norm."""
    path = rf"patch_embed1\.{theirs}\.embed"
    return _conv(f"{path}_conv", f"{path}_bn", ours)


_FLAT: Rules = (*_in_blocks((*_ATTENTION, *_MLP)), *_HEAD)
_STAGED: Rules = (*_in_stages((*_ATTENTION, *_MLP)), *_HEAD)
_SPLITTING: Rules = (
    *_conv(r"patch_embed\.proj_conv", r"patch_embed\.proj_bn", "backbone.stem.convs.0"),
    *_conv(
        r"patch_embed\.proj_conv([123])", r"patch_embed\.proj_bn([123])", r"backbone.stem.convs.\1"
    ),
    *_conv(r"patch_embed\.rpe_conv", r"patch_embed\.rpe_bn", "backbone.stem.position"),
)
_FIRST, _LATER = "backbone.embeddings.0", r"backbone.embeddings.<\1>"


def _separable(theirs: str, ours: str) -> Rules:
    """Name the three convolutions of a separable one."""
    names = (("pwconv1", "expand"), ("dwconv", "conv"), ("pwconv2", "contract"))
    return tuple(
        rule
        for name, own in names
        for rule in _conv(rf"{theirs}\.{name}\.0", rf"{theirs}\.{name}\.1", f"{ours}.{own}")
    )


def _v3_stages() -> Rules:
    """Name the stages of Spike-driven Transformer V3: three of convolutions, two of attention."""
    rules: list[tuple[str, str]] = []
    for index, name in enumerate(("1_1", "1_2", "2", "3", "4")):
        path = rf"downsample{name}\.encode_"
        rules += _conv(f"{path}conv", f"{path}bn", f"backbone.embeddings.{index}.conv")
    blocks = (("1_1", 0, 0), ("1_2", 1, 0), ("2_1", 2, 0), ("2_2", 2, 1))
    for name, stage, block in blocks:
        theirs, ours = rf"ConvBlock{name}\.0", f"backbone.stages.{stage}.blocks.{block}"
        rules += _separable(rf"{theirs}\.Conv", f"{ours}.attention")
        for layer, own in ((1, "expand"), (2, "contract")):
            rules += _conv(rf"{theirs}\.conv{layer}", rf"{theirs}\.bn{layer}", f"{ours}.mlp.{own}")
    for stage in (3, 4):
        theirs, ours = rf"block{stage}\.(\d+)", rf"backbone.stages.{stage}.blocks.\1."
        inside = (*_separable("conv", "local"), *_ATTENTION, *_MLP)
        rules += [(rf"{theirs}\.{a}", _shifted(b, ours)) for a, b in inside]
    return (*rules, *_HEAD)


RULES: dict[str, Rules] = {
    "spike_driven_v3": _v3_stages(),
    "spikformer": (
        *_FLAT,
        *_SPLITTING,
        *_conv(
            r"patch_embed\.stages\.(\d)\.conv_bn\.block\.0",
            r"patch_embed\.stages\.(\d)\.conv_bn\.block\.1",
            r"backbone.stem.convs.\1",
        ),
        *_conv(
            r"patch_embed\.positional_encoding\.conv_bn\.block\.0",
            r"patch_embed\.positional_encoding\.conv_bn\.block\.1",
            "backbone.stem.position",
        ),
    ),
    "spike_driven_transformer": (
        *_FLAT,
        *_SPLITTING,
        *_conv(
            r"patch_embed\.stages\.(\d)\.0",
            r"patch_embed\.stages\.(\d)\.1",
            r"backbone.stem.convs.\1",
        ),
        *_conv(
            r"patch_embed\.final_stage\.0", r"patch_embed\.final_stage\.1", "backbone.stem.convs.3"
        ),
    ),
    "spikingformer": (
        *_FLAT,
        *_conv(
            r"patch_embed\.block([0-3])_conv",
            r"patch_embed\.block([0-3])_bn",
            r"backbone.stem.convs.\1",
        ),
        *_conv(r"patch_embed\.block4_conv", r"patch_embed\.block4_bn", "backbone.stem.position"),
        # Of event cameras.
        *_conv(r"patch_embed\.proj_conv", r"patch_embed\.proj_bn", "backbone.stem.convs.0"),
        *_conv(
            r"patch_embed\.proj([123])_conv",
            r"patch_embed\.proj([123])_bn",
            r"backbone.stem.convs.\1",
        ),
        *_conv(r"patch_embed\.proj4_conv", r"patch_embed\.proj4_bn", "backbone.stem.position"),
    ),
    "qkformer": (
        *_STAGED,
        *_conv(
            r"patch_embed1\.(?:proj_conv|conv1)", r"patch_embed1\.(?:proj_bn|bn1)", f"{_FIRST}.conv"
        ),
        *_conv(
            r"patch_embed1\.(?:proj1_conv|conv2)",
            r"patch_embed1\.(?:proj1_bn|bn2)",
            f"{_FIRST}.merging.convs.0",
        ),
        *_conv(
            r"patch_embed1\.(?:proj2_conv|conv3)",
            r"patch_embed1\.(?:proj2_bn|bn3)",
            f"{_FIRST}.merging.convs.1",
        ),
        *_conv(
            r"patch_embed1\.(?:proj_res_conv|shortcut\.0)",
            r"patch_embed1\.(?:proj_res_bn|shortcut\.1)",
            f"{_FIRST}.merging.shortcut",
        ),
        *_conv(
            r"patch_embed([23])\.(?:proj3?_conv|conv1)",
            r"patch_embed([23])\.(?:proj3?_bn|bn1)",
            f"{_LATER}.convs.0",
        ),
        *_conv(
            r"patch_embed([23])\.(?:proj4_conv|conv2)",
            r"patch_embed([23])\.(?:proj4_bn|bn2)",
            f"{_LATER}.convs.1",
        ),
        *_conv(
            r"patch_embed([23])\.(?:proj_res_conv|shortcut\.0)",
            r"patch_embed([23])\.(?:proj_res_bn|shortcut\.1)",
            f"{_LATER}.shortcut",
        ),
    ),
    "maxformer": (
        *_STAGED,
        # A stage without mixing is an MLP alone in SpikingJelly.
        *_in_stages(tuple((a.replace(r"mlp\.", "", 1), b) for a, b in _MLP)),
        *_in_stages(
            _conv(r"(?:dwconv|mixer\.conv5?)", r"(?:bn|mixer\.conv5?_bn)", "attention.conv")
        ),
        *_conv(
            r"patch_embed1\.(?:proj_conv|conv1?)",
            r"patch_embed1\.(?:proj_bn|bn1?)",
            f"{_FIRST}.conv",
        ),
        *_conv(
            r"patch_embed1\.(?:embed1\.embed_conv|branch\.1|conv2)",
            r"patch_embed1\.(?:embed1\.embed_bn|branch\.2|bn2)",
            f"{_FIRST}.merging.convs.0",
        ),
        *_conv(r"patch_embed1\.conv3", r"patch_embed1\.bn3", f"{_FIRST}.merging.convs.1"),
        *_conv(
            r"patch_embed1\.(?:embed2\.embed_conv|shortcut\.0)",
            r"patch_embed1\.(?:embed2\.embed_bn|shortcut\.1)",
            f"{_FIRST}.merging.shortcut",
        ),
        *_conv(
            r"patch_embed([23])\.(?:max_embed1\.embed_conv|conv1)",
            r"patch_embed([23])\.(?:max_embed1\.embed_bn|bn1)",
            f"{_LATER}.convs.0",
        ),
        *_conv(
            r"patch_embed([23])\.(?:embed1\.embed_conv|conv2)",
            r"patch_embed([23])\.(?:embed1\.embed_bn|bn2)",
            f"{_LATER}.convs.1",
        ),
        *_conv(
            r"patch_embed([23])\.(?:max_embed2\.embed_conv|shortcut\.0)",
            r"patch_embed([23])\.(?:max_embed2\.embed_bn|shortcut\.1)",
            f"{_LATER}.shortcut",
        ),
    ),
}
_EMBEDDINGS: dict[str, Rules] = {
    # QKFormer's of event cameras.
    "patch_embed1.proj3_conv.weight": (
        *_conv(r"patch_embed1\.proj_conv", r"patch_embed1\.proj_bn", f"{_FIRST}.convs.0"),
        *_conv(r"patch_embed1\.proj1_conv", r"patch_embed1\.proj1_bn", f"{_FIRST}.convs.1"),
        *_conv(r"patch_embed1\.proj2_conv", r"patch_embed1\.proj2_bn", f"{_FIRST}.merging.convs.0"),
        *_conv(r"patch_embed1\.proj3_conv", r"patch_embed1\.proj3_bn", f"{_FIRST}.merging.convs.1"),
    ),
    # Max-Former's of event cameras, and of ImageNet.
    "patch_embed1.max_embed3.embed_conv.weight": (
        *_conv(r"patch_embed1\.proj_conv", r"patch_embed1\.proj_bn", f"{_FIRST}.convs.0"),
        *_embed("max_embed1", f"{_FIRST}.convs.1"),
        *_embed("max_embed2", f"{_FIRST}.merging.convs.0"),
        *_embed("max_embed3", f"{_FIRST}.merging.convs.1"),
        *_embed("embed1", f"{_FIRST}.merging.shortcut"),
    ),
    "patch_embed1.embed4.embed_conv.weight": (
        *_embed("embed1", f"{_FIRST}.conv"),
        *_embed("embed2", f"{_FIRST}.merging.convs.0"),
        *_embed("embed3", f"{_FIRST}.merging.convs.1"),
        *_embed("embed4", f"{_FIRST}.merging.shortcut"),
    ),
}
"""First embeddings that have the others' names for other layers, by a key that only they have."""
_UNUSED = (r"blocks?\.\d+\.norm[12]\.(weight|bias)", r"blocks?\.\d+\.attn\.talking_heads\.weight")
"""What the authors' modules hold and never run."""


def renamed(model: str, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Return tensors under SpikeFormer's names, and the names that mean nothing here.

    Args:
        model: One of `RULES`.
        state: Tensors by their names there: weights, or their gradients.
    """
    first = next((rules for key, rules in _EMBEDDINGS.items() if key in state), ())
    rules = [(re.compile(pattern), ours) for pattern, ours in (*first, *RULES[model])]
    found: dict[str, Tensor] = {}
    unknown = []
    for key, tensor in _shortcuts_from_0(state).items():
        if any(re.fullmatch(pattern, key) for pattern in _UNUSED):
            continue
        path, _, leaf = key.rpartition(".")
        for pattern, replacement in rules:
            if pattern.fullmatch(path):
                name = pattern.sub(replacement, path)
                found[re.sub(r"<(\d)>", lambda m: str(int(m[1]) - 1), name) + f".{leaf}"] = tensor
                break
        else:
            unknown.append(key)
    return _joined(found), unknown


def _shortcuts_from_0(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Count the layers of a first embedding's shortcut from 0, also where a neuron stands first."""
    if not any(".shortcut.2." in key for key in state) or "patch_embed1.shortcut.0.weight" in state:
        return dict(state)
    pattern = re.compile(r"(patch_embed1\.shortcut)\.(\d)(?=\.)")
    return {
        pattern.sub(lambda m: f"{m[1]}.{int(m[2]) - 1}", key): tensor
        for key, tensor in state.items()
    }


def _joined(found: dict[str, Tensor]) -> dict[str, Tensor]:
    """Put queries, keys and values into one matrix and one norm."""
    joined: dict[str, Tensor] = {}
    for name, tensor in found.items():
        match = re.fullmatch(r"(.*\.attention)\.([qkv])(_norm)?\.(\w+)", name)
        if match is None:
            joined[name] = tensor
            continue
        path, _, norm, leaf = match.groups()
        target = f"{path}.qkv{norm or ''}.{leaf}"
        if target not in joined:
            parts = [found.get(f"{path}.{part}{norm or ''}.{leaf}") for part in "qkv"]
            there = [part for part in parts if part is not None]
            joined[target] = torch.cat(there) if there[0].ndim else there[0]
    return joined
