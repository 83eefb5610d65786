"""`spikformer`: a training step and inference of a whole Spikformer, from the same weights."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.registry import Benchmark, Case, Contender, Tensors, Work

_CLASSES = 10
# Mean square of what a layer behind neurons receives, so that its output has a variance of about 1.
_SPIKE_POWER = 0.3
# While batch norm trains, one flipped spike moves every neuron of its channel, and so on: scaling
# all weights by 1 + 1e-7 moves single gradients of the stem by 20%.
_FLIPS = 0.3


def inputs(case: Case) -> Tensors:
    """Return images, labels and, under SpikingJelly's names, the weights."""
    generator = torch.Generator().manual_seed(0)
    batch = case.options["batch"]
    tensors = {
        "images": torch.randn(batch, 3, 32, 32, generator=generator),
        "labels": torch.randint(_CLASSES, (batch,), generator=generator),
        "head.weight": torch.randn(_CLASSES, case.options["width"], generator=generator),
        "head.bias": torch.zeros(_CLASSES),
    }
    for name, norm, shape in _layers(case):
        power = 1.0 if shape[1] == 3 else _SPIKE_POWER
        fan_in = shape[1:].numel()
        tensors[name] = torch.randn(shape, generator=generator) / (power * fan_in) ** 0.5
        tensors[f"{norm}.weight"] = 0.75 + 0.5 * torch.rand(shape[0], generator=generator)
        tensors[f"{norm}.bias"] = 0.5 + 0.2 * torch.randn(shape[0], generator=generator)
        tensors[f"{norm}.running_mean"] = 0.1 * torch.randn(shape[0], generator=generator)
        tensors[f"{norm}.running_var"] = 0.75 + 0.5 * torch.rand(shape[0], generator=generator)
        tensors[f"{norm}.num_batches_tracked"] = torch.tensor(0)
    return tensors


def _layers(case: Case) -> Iterator[tuple[str, str, torch.Size]]:
    """Weight's name, batch norm's name and weight's shape of every convolution."""

    def layer(name: str, *shape: int) -> tuple[str, str, torch.Size]:
        return f"{name}.0.weight", f"{name}.1", torch.Size(shape)

    width, hidden = case.options["width"], 4 * case.options["width"]
    widths = (3, width // 8, width // 4, width // 2, width)
    for i in range(4):
        yield layer(f"patch_embed.stages.{i}.conv_bn.block", widths[i + 1], widths[i], 3, 3)
    yield layer("patch_embed.positional_encoding.conv_bn.block", width, width, 3, 3)
    for i in range(case.options["depth"]):
        yield layer(f"blocks.{i}.attn.qkv_conv_bn", 3 * width, width, 1)
        yield layer(f"blocks.{i}.attn.proj_conv_bn", width, width, 1)
        yield layer(f"blocks.{i}.mlp.fc1", hidden, width, 1)
        yield layer(f"blocks.{i}.mlp.fc2", width, hidden, 1)


def work(
    case: Case,
    model: nn.Module,
    logits_of: Callable[[Tensor], Tensor],
    stem: nn.Parameter,
    head: nn.Parameter,
    inputs: Tensors,
) -> Work:
    """Train with AdamW on the mean of the logits over time, or infer.

    Args:
        case: The case.
        model: Has the weights of `inputs`.
        logits_of: Maps images to logits, (timesteps, batch, classes), from a state of zeros.
        stem: Weight of the first convolution; its gradient is compared.
        head: Weight of the classifier; its gradient is compared.
        inputs: What `inputs` made.
    """
    images, labels = inputs["images"], inputs["labels"]
    model.train(case.train)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    half = case.dtype != "float32"

    def forward() -> Tensor:
        with torch.autocast(case.device, case.torch_dtype, enabled=half):
            return logits_of(images)

    def train() -> Tensors:
        logits = forward()
        F.cross_entropy(logits.float().mean(0), labels).backward()
        results = {"logits": logits.detach(), "grad_stem": stem.grad, "grad_head": head.grad}
        optimizer.step()
        optimizer.zero_grad()
        return results

    def infer() -> Tensors:
        with torch.no_grad():
            return {"logits": forward()}

    return Work(train if case.train else infer)


# SpikingJelly's names of layers and ours.
_NAMES = {
    "patch_embed.stages": "backbone.stem.convs",
    "patch_embed.positional_encoding": "backbone.stem.position",
    "conv_bn.block.0": "conv",
    "conv_bn.block.1": "norm",
    "blocks": "backbone.blocks.blocks",
    "attn.qkv_conv_bn.0": "attention.qkv",
    "attn.qkv_conv_bn.1": "attention.qkv_norm",
    "attn.proj_conv_bn.0": "attention.out",
    "attn.proj_conv_bn.1": "attention.out_norm",
    "mlp.fc1.0": "mlp.expand",
    "mlp.fc1.1": "mlp.expand_norm",
    "mlp.fc2.0": "mlp.contract",
    "mlp.fc2.1": "mlp.contract_norm",
    "head": "head.readout",
}


def spikeformer(case: Case, inputs: Tensors) -> Work:
    from spikeformer.models import (
        ClassificationHead,
        SpikformerStem,
        SpikingAttention,
        SpikingNetwork,
        SpikingSelfAttention,
        SpikingViT,
    )
    from spikeformer.neurons import LifNeuron, NeuronFactory
    from spikeformer.ops import keep_freed_memory

    if case.device == "cpu":
        keep_freed_memory()
    # SpikingJelly halves the input of a neuron with tau = 2. Ours does not, and has twice the
    # threshold and half the slope. Behind attention, its threshold is half that of the others.
    neuron = partial(
        LifNeuron,
        tau_mem=1 / math.log(2),
        reset="zero",
        detach_reset=True,
        surrogate_type="sigmoid",
        surrogate_slope=2.0,
    )

    def mechanism(neuron: NeuronFactory, threshold: float, *, causal: bool) -> SpikingSelfAttention:
        return SpikingSelfAttention(neuron, threshold / 2, causal=causal, scale=0.125)

    backbone = SpikingViT(
        image_size=32,
        d_model=case.options["width"],
        nhead=case.options["heads"],
        num_layers=case.options["depth"],
        timesteps=case.options["timesteps"],
        threshold=2.0,
        stem=SpikformerStem,
        residual="sew",
        neuron=neuron,
        attention=partial(SpikingAttention, dropout=0.0, mechanism=mechanism),
    )
    model = SpikingNetwork(backbone, ClassificationHead(case.options["width"], _CLASSES))
    weights = {}
    for name, tensor in inputs.items():
        for theirs, ours in _NAMES.items():
            name = re.sub(rf"(^|\.){re.escape(theirs)}(?=\.)", rf"\1{ours}", name)
        # Their products of tokens are convolutions with a kernel of one.
        weights[name] = tensor.squeeze(-1) if tensor.dim() == 3 else tensor
    del weights["images"], weights["labels"]
    model.load_state_dict(weights)
    model.to(case.device)
    stem, head = backbone.stem.convs[0].conv.weight, model.head.readout.weight
    return work(case, model, lambda images: model(images).transpose(0, 1), stem, head, inputs)


def spikingjelly(*, compiled: bool = False):
    def build(case: Case, inputs: Tensors) -> Work:
        from spikingjelly.activation_based import functional
        from spikingjelly.activation_based.model.spikformer import Spikformer

        model = Spikformer(
            T=case.options["timesteps"],
            img_size_h=32,
            img_size_w=32,
            patch_size=4,
            num_classes=_CLASSES,
            embed_dims=case.options["width"],
            num_heads=case.options["heads"],
            depths=case.options["depth"],
        )
        weights = {n: t for n, t in inputs.items() if n not in {"images", "labels"}}
        model.load_state_dict(weights)
        model.to(case.device)
        if compiled:
            model.compile()

        def logits_of(images: Tensor) -> Tensor:
            functional.reset_net(model)
            return model(images)

        stem = model.patch_embed.stages[0].conv_bn.block[0].weight
        return work(case, model, logits_of, stem, model.head.weight, inputs)

    return build


def _case(width: int, heads: int, depth: int, batch: int, **kind) -> Case:
    return Case(
        f"width {width}, depth {depth}, T=4, B={batch}, 32x32",
        {"timesteps": 4, "batch": batch, "width": width, "heads": heads, "depth": depth},
        **kind,
    )


BENCHMARK = Benchmark(
    title="Spikformer",
    description="""One AdamW step, and inference, of `Spikformer(patch_size=4, embed_dims=256,
num_heads=8, depths=2, T=4)` on images of 32x32 for 10 classes: the stem of four convolutions, the
convolution of positions, blocks of self-attention and MLP, each with batch norm and hard-reset
LIF neurons. All contenders start from the same weights. Compared: logits and, for training, the
gradients of the first convolution and of the classifier. Inference has to agree within 0.1%,
element by element; training, where one flipped spike moves every neuron of its channel, within 30%.

- SpikeFormer: `SpikingViT` with `SpikformerStem`; as in `train.py`, glibc keeps the memory that a
  step frees (`keep_freed_memory`).
- SpikingJelly: its own `Spikformer`; compiled with its `.compile()`. Its compiled kernels between
  convolutions and products are one kind in the tables by operation.

Convolutions and dense products are the same work for all contenders, and what no fusion removes:
their rows in those tables bound a step from below. In inference SpikeFormer takes those of spikes
as three products of bytes each, on CPUs that multiply matrices of bytes (AMX).""",
    cases=(
        _case(256, 8, 2, 8, tolerance=_FLIPS),
        _case(256, 8, 2, 8, train=False),
        _case(384, 12, 4, 64, device="cuda", tolerance=_FLIPS),
        _case(384, 12, 4, 64, device="cuda", dtype="bfloat16", tolerance=_FLIPS),
    ),
    contenders=(
        Contender("SpikeFormer", spikeformer),
        Contender("SpikingJelly", spikingjelly(), "spikingjelly"),
        Contender("SpikingJelly, compiled", spikingjelly(compiled=True), "spikingjelly"),
    ),
    inputs=inputs,
    definition="SpikingJelly",
    operations=True,
)
