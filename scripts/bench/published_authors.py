"""Published models beside their authors' own files: outputs and gradients from the same weights.

python scripts/bench/published_authors.py FOLDER                all of them
python scripts/bench/published_authors.py FOLDER qkformer_dvs   one, printed alone

A whole run is written to docs/benchmarks/published_authors.json.

FOLDER holds the authors' repositories, as git clone makes them (`SOURCES` says whence). What is not
there is skipped. Their model files are imported as they are; of timm and SpikingJelly, which they
want in old versions, stand-ins give the few things that a forward pass needs: the neuron is
SpikingJelly's equation written out. Everything is computed in float64.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

SCRIPTS = Path(__file__).resolve().parents[1]
RESULTS = SCRIPTS.parent / "docs" / "benchmarks" / "published_authors.json"
SOURCES = {
    "Spikingformer": "https://github.com/zhouchenlin2096/Spikingformer",
    "QKFormer": "https://github.com/zhouchenlin2096/QKFormer",
    "MaxFormer": "https://github.com/bic-L/MaxFormer",
    "Spike-Driven-Transformer": "https://github.com/BICLab/Spike-Driven-Transformer",
    "Spike-Driven-Transformer-V3": "https://github.com/BICLab/Spike-Driven-Transformer-V3",
}
_BATCH, _TIMESTEPS = 2, 3


@dataclass(frozen=True)
class Case:
    """One of the authors' networks.

    Attributes:
        family: As for `load_checkpoint_of`.
        repository: One of `SOURCES`.
        folder: Where the module lies there.
        module: The module's name.
        build: Makes the network from the module.
        overrides: Our configuration.
        pixels: Height and width of a frame.
        classes: Classes of the head.
        events: Whether frames have two polarities and a time axis.
        timesteps: Of our network.
        head_scale: What our head's weights are over theirs.
        names: Gives their tensors our names, where `load_checkpoint_of` does not.
    """

    family: str
    repository: str
    folder: str
    module: str
    build: Callable[[Any], nn.Module]
    overrides: tuple[str, ...]
    pixels: int
    classes: int = 10
    events: bool = False
    timesteps: int = _TIMESTEPS
    head_scale: int = 1
    names: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None


def _driven(module: Any, **options: Any) -> nn.Module:
    """Build Spike-driven Transformer as its training script does for CIFAR10-DVS and Gesture."""
    size = {"img_size_h": options.pop("pixels"), "img_size_w": None, "patch_size": 16}
    size["img_size_w"] = size["img_size_h"]
    shape = {"embed_dims": 256, "num_heads": 8, "depths": 2, "sr_ratios": 1, "T": _TIMESTEPS}
    net: nn.Module = module.SpikeDrivenTransformer(**size, **shape, **options)
    return net


def _qkformer(module: Any) -> nn.Module:
    """Build QKFormer for events, with the neuron behind self-attention run over timesteps.

    The authors hand it timesteps and samples as one axis, so that a sample's membrane goes on in
    the next one of the batch.
    """
    net: Any = module.QKFormer()
    attention = net.stage2[0].ssa
    attention.proj_lif = _PerSample(attention.proj_lif)
    return net  # type: ignore[no-any-return]


def _large(module: Any) -> nn.Module:
    """Build V3's network of 83 M with two blocks of attention, as far as it has a counterpart here.

    Left out are the head that takes currents, the layer scales and the biases in front of batch
    norms. The forward pass of its blocks names sizes that are not there, and is written anew; and
    its neurons, which round halves up and pass no gradient at 0, are those of the base networks.
    """
    net: Any = module.Spikformer(choice="base", embed_dim=[128, 256, 512], depths=2)
    for layer in net.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d):
            layer.register_parameter("bias", None)

    def block(self: Any, x: Tensor) -> Tensor:
        x = x + self.rep_conv(self.lif(x).flatten(0, 1)).view_as(x)
        x = x + self.attn(x)
        return x + self.mlp(x)

    for layer in net.modules():
        if isinstance(layer, module.Multispike):
            layer.spike = _Counts
    for each in net.block3:
        each.forward = block.__get__(each)
        del each.layer_scale1, each.layer_scale2
    del net.head
    net.forward = lambda images: net.head_kd(net.lif(net.forward_encoder(images).mean(3)))
    return net  # type: ignore[no-any-return]


_LARGE = (
    (r"downsample1_1\.encode_", "backbone.embeddings.0.conv."),
    (r"downsample1_2\.encode_", "backbone.embeddings.1.conv."),
    (r"downsample([23])\.encode_", r"backbone.embeddings.\1.conv."),
    (r"(?<=\.conv)\.bn\.", ".norm."),
    (r"ConvBlock1_([12])\.0\.", r"backbone.stages.<\1>.blocks.0.mlp."),
    (r"ConvBlock2_([12])\.0\.", r"backbone.stages.2.blocks.<\1>.mlp."),
    (r"mlp\.conv1\.0\.", "mlp.expand."),
    (r"mlp\.conv2\.0\.", "mlp.contract."),
    (r"(?<=mlp\.)(expand|contract)\.0\.", r"\1.conv."),
    (r"(?<=mlp\.)(expand|contract)\.1\.", r"\1.norm."),
    (r"block3\.", "backbone.stages.3.blocks."),
    (r"rep_conv\.", "local.linear."),
    (r"attn\.([qkv]_|proj_)conv\.1\.", r"attention.\1norm."),
    (r"attn\.([qkv]_|proj_)conv\.0\.", r"attention.\1."),
    (r"conv1\.0\.", "expand."),
    (r"conv1\.1\.", "expand_norm."),
    (r"conv2\.0\.", "contract.0."),
    (r"conv2\.1\.", "contract_norm."),
    (r"attention\.proj_\.", "attention.out."),
    (r"attention\.proj_norm\.", "attention.out_norm."),
    (r"mlp\.fc1_conv\.", "mlp.expand."),
    (r"mlp\.fc2_conv\.", "mlp.contract."),
    (r"mlp\.fc1_bn\.", "mlp.expand_norm."),
    (r"mlp\.fc2_bn\.", "mlp.contract_norm."),
    (r"head_kd\.", "head.readout."),
)
"""What V3's large network calls its parts, and what they are called here, one after the other."""


def _large_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give the tensors of V3's large network our names; join queries, keys and values."""
    named = {}
    for key, tensor in state.items():
        for pattern, ours in _LARGE:
            key = re.sub(pattern, ours, key)
        key = re.sub(r"<(\d)>", lambda m: str(int(m[1]) - 1), key)
        linear = "stages.3" in key or "head" in key
        named[key] = tensor.flatten(1) if linear and tensor.ndim == 3 else tensor
    found = {}
    for key, tensor in named.items():
        match = re.fullmatch(r"(.*attention)\.q_(norm)?(.*)", key)
        if match is None:
            if not re.search(r"attention\.[kv]_", key):
                found[key] = tensor
            continue
        path, norm, leaf = match.groups()
        parts = [named[f"{path}.{part}_{norm or ''}{leaf}"] for part in "qkv"]
        if leaf.startswith(".contract.0"):
            for index, part in enumerate(parts):
                found[f"{path}.qkv.contract.{index}.weight"] = part
        else:
            name = f"{path}.qkv{'_norm' if norm else ''}{leaf}"
            found[name] = torch.cat(parts) if tensor.ndim else tensor
    return found


CASES = {
    "spikingformer_dvs": Case(
        "spikingformer",
        "Spikingformer",
        "cifar10-dvs",
        "model",
        lambda m: m.Spikingformer(),
        ("model=spikingformer_dvs",),
        128,
        events=True,
    ),
    "qkformer_dvs": Case(
        "qkformer",
        "QKFormer",
        "cifar10-dvs",
        "model",
        _qkformer,
        ("model=qkformer_dvs",),
        128,
        events=True,
    ),
    "qkformer_gesture": Case(
        "qkformer",
        "QKFormer",
        "dvs128-gesture",
        "model",
        _qkformer,
        ("model=qkformer_dvs", "model.mlp_ratio=4"),
        128,
        11,
        events=True,
    ),
    "maxformer_dvs": Case(
        "maxformer",
        "MaxFormer",
        "event",
        "max_former",
        lambda m: m.Max_Former(embed_dims=256, mlp_ratios=1.0, depths=2, T=_TIMESTEPS),
        ("model=maxformer_dvs",),
        128,
        events=True,
    ),
    "maxformer_imagenet": Case(
        "maxformer",
        "MaxFormer",
        "imagenet",
        "max_former",
        lambda m: m.Max_Former(3, 1000, embed_dims=384, mlp_ratios=4, T=_TIMESTEPS),
        ("model=maxformer_imagenet",),
        64,
        1000,
    ),
    "spike_driven_transformer_dvs": Case(
        "spike_driven_transformer",
        "Spike-Driven-Transformer",
        ".",
        "model.spikeformer",
        lambda m: _driven(m, pixels=64, num_classes=10, pooling_stat="0011", dvs_mode=True),
        ("model=spike_driven_transformer_dvs",),
        64,
        events=True,
    ),
    "spike_driven_transformer_gesture": Case(
        "spike_driven_transformer",
        "Spike-Driven-Transformer",
        ".",
        "model.spikeformer",
        lambda m: _driven(m, pixels=128, num_classes=11, pooling_stat="0111"),
        (
            "model=spike_driven_transformer_dvs",
            "model.stem.pool=[false,true,true,true]",
            "attention=sdsa_paper",
        ),
        128,
        11,
        events=True,
    ),
    "spike_driven_v3": Case(
        "spike_driven_v3",
        "Spike-Driven-Transformer-V3",
        "SDT_V3/Classification/Model_Base",
        "models",
        lambda m: m.Efficient_Spiking_Transformer_s(),
        ("model=spike_driven_v3",),
        64,
        1000,
        timesteps=1,
        head_scale=4,
    ),
    "spike_driven_v3_large": Case(
        "spike_driven_v3",
        "Spike-Driven-Transformer-V3",
        "SDT_V3/Classification/Model_Large",
        "spikformer",
        _large,
        ("model=spike_driven_v3_large", "model.depths=[1,1,2,2]"),
        64,
        1000,
        timesteps=1,
        head_scale=4,
        names=_large_names,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="holds the authors' repositories")
    parser.add_argument("case", nargs="*", help=f"some of {', '.join(CASES)}")
    arguments = parser.parse_args()
    found = {}
    for name in arguments.case or CASES:
        case = CASES[name]
        if not (arguments.folder / case.repository / case.folder).is_dir():
            print(f"{name} is skipped: git clone {SOURCES[case.repository]}", file=sys.stderr)
            continue
        found[name] = _compare(case, arguments.folder)
    print(json.dumps(found, indent=2))
    if not arguments.case and found.keys() == CASES.keys():
        RESULTS.write_text(json.dumps(found, indent=2) + "\n")


def _compare(case: Case, folder: Path) -> dict[str, object]:
    from bench.published import compared, observed
    from spikeformer import compose

    torch.manual_seed(0)
    with _authors_modules(folder / case.repository / case.folder):
        net = case.build(importlib.import_module(case.module))
    if case.events:
        shape = (_BATCH, _TIMESTEPS, 2, case.pixels, case.pixels)
        images = (torch.rand(shape) < 0.2).double()
        data = ["data=cifar10_dvs", "data.path=x"]
    else:
        images = torch.rand(_BATCH, 3, case.pixels, case.pixels, dtype=torch.float64)
        data = ["data=cifar10"]
    theirs = observed(net, images)
    config = compose(
        *data,
        *case.overrides,
        f"timesteps={case.timesteps}",
        f"data.image_size=[{case.pixels},{case.pixels}]",
        f"data.num_classes={case.classes}",
        "ops=reference",
    )
    return {
        "source": SOURCES[case.repository],
        **compared(case.family, config, theirs, case.head_scale, case.names),
    }


class _Fire(torch.autograd.Function):
    """SpikingJelly's default: the gradient of a sigmoid of slope 4."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Fire at 0 and above."""
        ctx.save_for_backward(x)
        return (x >= 0).to(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """Return that of sigmoid(4 x)."""
        s = torch.sigmoid(4 * ctx.saved_tensors[0])
        return grads[0] * 4 * s * (1 - s)


class _Counts(torch.autograd.Function):
    """The base networks' neuron: halves are rounded to even, gradients pass from 0 to D."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, most: int = 4) -> Tensor:
        """Count up to D."""
        ctx.save_for_backward(x)
        ctx.most = most
        return x.clamp(0, most).round()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Return the gradient where the count is not cut off."""
        (x,) = ctx.saved_tensors
        return grads[0] * ((x >= 0) & (x <= ctx.most)), None


class _LifNode(nn.Module):
    """`v += (x - v) / tau`, then a spike at the threshold and a reset to 0 that is detached."""

    def __init__(
        self,
        tau: float = 2.0,
        v_threshold: float = 1.0,
        detach_reset: bool = False,
        backend: str = "torch",
    ) -> None:
        super().__init__()
        assert detach_reset
        self.tau, self.threshold = tau, v_threshold

    def forward(self, x: Tensor) -> Tensor:
        """Map (timesteps, ...) to spikes."""
        v, spikes = torch.zeros_like(x[0]), []
        for current in x:
            v = v + (current - v) / self.tau
            spikes.append(_Fire.apply(v - self.threshold))
            v = v * (1 - spikes[-1].detach())
        return torch.stack(spikes)


class _PerSample(nn.Module):
    """Runs a neuron over the timesteps of (timesteps * samples, ...)."""

    def __init__(self, neuron: nn.Module) -> None:
        super().__init__()
        self.neuron = neuron

    def forward(self, x: Tensor) -> Tensor:
        """Map currents to spikes of the same shape."""
        spikes: Tensor = self.neuron(x.unflatten(0, (_TIMESTEPS, _BATCH))).flatten(0, 1)
        return spikes


class _PerFrame(nn.Sequential):
    """Layers that see the frames of all timesteps as one batch."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (timesteps, samples, ...) likewise."""
        frames: Tensor = super().forward(x.flatten(0, 1))
        return frames.unflatten(0, x.shape[:2])


@contextmanager
def _authors_modules(folder: Path) -> Iterator[None]:
    """Let a folder's modules be imported, over stand-ins for what they import; forget all after."""
    before, path = set(sys.modules), list(sys.path)

    def identity(x: Any, *args: Any, **kwargs: Any) -> Any:
        return x

    contents: dict[str, dict[str, Any]] = {
        "timm": {},
        "timm.models": {"create_model": None},
        "timm.models.layers": {
            "to_2tuple": lambda x: x if isinstance(x, tuple) else (x, x),
            "trunc_normal_": nn.init.trunc_normal_,
            "DropPath": lambda rate: nn.Identity(),
        },
        "timm.models.registry": {"register_model": identity},
        "timm.models.vision_transformer": {"_cfg": dict, "Block": None, "PatchEmbed": None},
        "torchvision": {"transforms": None},
        "einops": {},
        "einops.layers": {},
        "einops.layers.torch": {"Rearrange": None},
        "torchinfo": {},
        "spikingjelly": {},
        "spikingjelly.clock_driven": {"layer": SimpleNamespace(SeqToANNContainer=_PerFrame)},
        "spikingjelly.clock_driven.neuron": {
            "MultiStepLIFNode": _LifNode,
            "MultiStepParametricLIFNode": None,
        },
    }
    replaced = {name: sys.modules.pop(name) for name in contents if name in sys.modules}
    for name, values in contents.items():
        module = ModuleType(name)
        vars(module).update(values)
        sys.modules[name] = module
    place = str(folder.resolve())
    sys.path.insert(0, place)
    try:
        yield
    finally:
        sys.path[:] = path
        theirs = {
            name
            for name in set(sys.modules) - before
            if str(getattr(sys.modules[name], "__file__", "")).startswith(place)
        }
        for name in theirs | set(contents):
            del sys.modules[name]
        sys.modules.update(replaced)


if __name__ == "__main__":
    sys.path.insert(0, str(SCRIPTS))
    main()
