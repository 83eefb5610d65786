"""Published models beside SpikingJelly's: outputs and gradients from the same weights.

python scripts/bench/published.py          all of them, into docs/benchmarks/published.json
python scripts/bench/published.py qkformer   one, printed alone

SpikingJelly runs in `.bench/spikingjelly`, which `make bench-baselines` makes. Everything is
computed in float64, so that no membrane falls on the other side of its threshold for the order of a
sum. A whole run counts the parameters of every published size too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

SCRIPTS = Path(__file__).resolve().parents[1]
RESULTS = SCRIPTS.parent / "docs" / "benchmarks" / "published.json"

CASES = {
    "spikformer": ("spikformer", "spikformer_cifar10", 32, 10, ["model.stem.pool_spikes=false"]),
    "qkformer": ("qkformer", "qkformer_10_384", 32, 1000, ["model=qkformer_imagenet"]),
    "maxformer": ("maxformer", "maxformer_10_384", 32, 1000, ["model=maxformer_imagenet"]),
    "maxformer_cifar": ("maxformer", "maxformer_cifar", 32, 100, []),
    "spike_driven_transformer": (
        "spike_driven_transformer",
        "sdt_8_384",
        32,
        1000,
        ["model=spike_driven_transformer_imagenet"],
    ),
}
"""Family, SpikingJelly's function, pixels, classes, and what our configuration has otherwise."""
SIZES = (
    ("spikformer", 32, 10, ()),
    ("spikformer_imagenet", 224, 1000, ()),
    ("spikformer_imagenet", 224, 1000, ("model.d_model=512", "model.num_layers=8")),
    ("spikformer_imagenet", 224, 1000, ("model.d_model=768", "model.nhead=12")),
    ("spikformer_dvs", 128, 10, ()),
    ("spikingformer_dvs", 128, 10, ()),
    ("spike_driven_transformer_dvs", 64, 10, ()),
    ("qkformer_dvs", 128, 10, ()),
    ("maxformer_dvs", 128, 10, ()),
    ("spike_driven_v3", 224, 1000, ()),
    (
        "spike_driven_v3",
        224,
        1000,
        ("model.d_model=240", "model.widths=[24,48,96,192,240]"),
    ),
    (
        "spike_driven_v3",
        224,
        1000,
        ("model.d_model=360", "model.widths=[32,64,128,256,360]"),
    ),
    ("spike_driven_v3_large", 224, 1000, ()),
    (
        "spike_driven_v3_large",
        224,
        1000,
        (
            "model.d_model=768",
            "model.widths=[98,196,384,768]",
            "model.local_mixers=[null,null,null,null]",
        ),
    ),
    ("spikingformer", 32, 10, ()),
    ("spikingformer_imagenet", 224, 1000, ()),
    ("spikingformer_imagenet", 224, 1000, ("model.d_model=768", "model.nhead=12")),
    ("spike_driven_transformer", 32, 100, ()),
    ("spike_driven_transformer_imagenet", 224, 1000, ()),
    ("spike_driven_transformer_imagenet", 224, 1000, ("model.d_model=512",)),
    ("spike_driven_transformer_imagenet", 224, 1000, ("model.d_model=768",)),
    ("qkformer", 32, 100, ()),
    ("qkformer_imagenet", 224, 1000, ()),
    ("qkformer_imagenet", 224, 1000, ("model.d_model=512", "model.nheads=[8,8,8]")),
    ("qkformer_imagenet", 224, 1000, ("model.d_model=768", "model.nheads=[12,12,12]")),
    ("maxformer", 32, 10, ()),
    ("maxformer_imagenet", 224, 1000, ()),
    ("maxformer_imagenet", 224, 1000, ("model.d_model=512", "model.nheads=[8,8,8]")),
    ("maxformer_imagenet", 224, 1000, ("model.d_model=768", "model.nheads=[12,12,12]")),
)
"""Configuration, pixels, classes and overrides of what the papers give parameters for."""
_BATCH, _TIMESTEPS = 2, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("case", nargs="*", help=f"some of {', '.join(CASES)}")
    parser.add_argument("--reference", nargs=2, metavar=("CASE", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.reference:
        _reference(arguments.reference[0], Path(arguments.reference[1]))
        return
    found: dict[str, object] = {name: _compare(name) for name in arguments.case or CASES}
    if not arguments.case:
        found["sizes"] = [_size(*size) for size in SIZES]
    print(json.dumps(found, indent=2))
    if not arguments.case:
        RESULTS.write_text(json.dumps(found, indent=2) + "\n")


def _reference(name: str, path: Path) -> None:
    """Write what SpikingJelly's module computes, in training and in evaluation mode."""
    from spikingjelly.activation_based import functional, layer
    from spikingjelly.activation_based.model import (
        maxformer,
        qkformer,
        spike_driven_transformer,
        spikformer,
    )

    _, function, pixels, classes, _ = CASES[name]
    modules = (maxformer, qkformer, spike_driven_transformer, spikformer)
    build = next(getattr(module, function) for module in modules if hasattr(module, function))
    # The papers detach the reset everywhere; SpikingJelly's default does in attention alone.
    torch.manual_seed(0)
    net = build(T=_TIMESTEPS, num_classes=classes, detach_reset=True)
    if function == "maxformer_10_384":
        # Its attention takes currents and adds spikes; the authors' code and SpikingJelly's own
        # network for CIFAR fire before and add currents. Their block for CIFAR stands in.
        net.stage3 = nn.ModuleList(
            maxformer._SSABlock(384, 6, 4.0, None, {"detach_reset": True}, cifar=True)
            for _ in net.stage3
        )
        functional.set_step_mode(net, "m")
    del layer
    images = torch.rand(_BATCH, 3, pixels, pixels, dtype=torch.float64)
    torch.save(observed(net, images, lambda: functional.reset_net(net)), path)


def observed(
    net: nn.Module, images: Tensor, reset: Callable[[], object] = lambda: None
) -> dict[str, Any]:
    """Return what a module computes, in training and in evaluation mode, and its state.

    Args:
        net: Another project's module; its weights are drawn here.
        images: In float64.
        reset: Forgets the neurons' membranes.
    """
    _let_fire(net)
    net.double()
    state = {key: value.clone() for key, value in net.state_dict().items()}
    parts: dict[str, Any] = {
        "state": state,
        "images": images,
        "parameters": sum(p.numel() for p in net.parameters()),
    }
    for mode in ("evaluation", "training"):
        net.load_state_dict(state)
        net.train(mode == "training")
        net.zero_grad()
        reset()
        outputs = net(images)
        outputs = outputs[0] if isinstance(outputs, tuple) else outputs
        if outputs.ndim == 3:  # per timestep
            outputs = outputs.mean(0)
        (outputs * _weights(outputs)).sum().backward()
        parts[mode] = {
            "outputs": outputs.detach(),
            "gradients": {n: p.grad for n, p in net.named_parameters() if p.grad is not None},
        }
    return parts


def _let_fire(net: nn.Module) -> None:
    """Draw weights with which neurons of every layer fire, and batch norms that have seen data."""
    for module in net.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            nn.init.normal_(module.weight, std=(0.3 * fan_in) ** -0.5)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.75, 1.25)
            nn.init.normal_(module.bias, 0.2, 0.5)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.75, 1.25)


def _weights(outputs: Tensor) -> Tensor:
    """Weights of the sum whose gradients are compared."""
    return torch.linspace(-1, 1, outputs.numel(), dtype=outputs.dtype).view(outputs.shape)


def _compare(name: str) -> dict[str, object]:
    from bench.client import interpreter
    from spikeformer import compose

    family, function, pixels, classes, overrides = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "reference.pt")
        command = [interpreter("spikingjelly"), __file__, "--reference", name, str(path)]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        subprocess.run(command, check=True, env=environment)
        theirs = torch.load(path, weights_only=True)
    given = (
        [f"model={family}", *overrides] if not any("model=" in o for o in overrides) else overrides
    )
    config = compose(
        "data=cifar10",
        *given,
        f"timesteps={_TIMESTEPS}",
        f"data.image_size=[{pixels},{pixels}]",
        f"data.num_classes={classes}",
        "ops=reference",
    )
    return {"module": function, **compared(family, config, theirs)}


def compared(
    family: str,
    config: Any,
    theirs: dict[str, Any],
    head_scale: int = 1,
    names: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
) -> dict[str, object]:
    """Return how far a configuration's network is from what `observed` has seen.

    Args:
        family: As for `load_checkpoint_of`.
        config: A composed configuration.
        theirs: What `observed` returns.
        head_scale: What our head's weights are over theirs.
        names: Gives their tensors our names, where `load_checkpoint_of` does not.
    """
    from spikeformer import load_checkpoint_of
    from spikeformer.instrument import ActivityProbe
    from spikeformer.models.checkpoint_names import renamed
    from spikeformer.pipeline import build_network

    net = build_network(config).double()
    found: dict[str, object] = {
        "their_parameters": theirs["parameters"],
        "parameters": sum(p.numel() for p in net.parameters()),
        "redundant_biases": sum(
            value.numel()
            for key, value in theirs["state"].items()
            if key.endswith(".bias") and key.removesuffix(".bias") in _before_norms(theirs["state"])
        ),
        "torch": torch.__version__,
    }
    images = theirs["images"]
    for mode in ("evaluation", "training"):
        if names is None:
            load_checkpoint_of(family, theirs["state"], net)
        else:
            state = names(theirs["state"])
            state["head.readout.weight"] = state["head.readout.weight"] * head_scale
            net.load_state_dict(state)
        net.train(mode == "training")
        net.zero_grad()
        with ActivityProbe(net) as probe:
            outputs = net(images).mean(1)
        (outputs * _weights(outputs)).sum().backward()
        given = theirs[mode]["gradients"]
        expected = renamed(family, given)[0] if names is None else names(given)
        expected["head.readout.weight"] = expected["head.readout.weight"] / head_scale
        own = {key: p.grad for key, p in net.named_parameters()}
        assert {k for k in expected if k in own} == own.keys()
        # A batch norm behind another leaves the first one gradients of nothing but rounding.
        sizes = {key: expected[key].abs().max().item() for key in own}
        nothing = {key for key, size in sizes.items() if size < 1e-12 * max(sizes.values())}
        assert all(own[key].abs().max() < 1e-12 * max(sizes.values()) for key in nothing)
        rates = probe.summary()["firing_rates"].values()
        found[mode] = {
            "outputs_differ_by": _gap(outputs, theirs[mode]["outputs"]),
            "gradients_differ_by": max(
                _gap(grad, expected[key].reshape(grad.shape))
                for key, grad in own.items()
                if key not in nothing
            ),
            "gradients": len(own) - len(nothing),
            "largest_output": outputs.abs().max().item(),
            "images_differ_by": _gap(outputs[1], outputs[0]),
            "firing_rates": [min(rates), max(rates)],
        }
    return found


def _size(model: str, pixels: int, classes: int, overrides: tuple[str, ...]) -> dict[str, object]:
    """Count the parameters of a configuration, and the biases that the authors have besides.

    Those of a block stand in front of the norms of the output of attention and of the MLP's two
    layers; in Spike-driven Transformer V3 in those of MLPs and of what stands before each stage, in
    its large networks in those of convolutional MLPs too.
    """
    from spikeformer import compose
    from spikeformer.pipeline import build_network

    size = (f"data.image_size=[{pixels},{pixels}]", f"data.num_classes={classes}")
    data = ("data=cifar10_dvs", "data.path=x") if model.endswith("_dvs") else ("data=cifar10",)
    with torch.device("meta"):
        net = build_network(compose(*data, f"model={model}", *size, *overrides))
    biases = sum(width for module in net.modules() for width in _redundant(module))
    return {
        "model": model,
        "overrides": list(overrides),
        "classes": classes,
        "parameters": sum(p.numel() for p in net.parameters()),
        "redundant_biases": biases,
    }


def _redundant(module: nn.Module) -> list[int]:
    """Return the widths of a module's layers that have a bias in the authors' code."""
    from spikeformer.models import (
        ConvEmbedding,
        ConvMerging,
        ConvMLP,
        RepLinear,
        SpikingBlock,
        SpikingMLP,
    )

    if isinstance(module, ConvEmbedding | ConvMerging):
        return [module.conv.conv.out_channels]
    if isinstance(module, SpikingBlock) and isinstance(module.mlp, ConvMLP):
        both = (module.mlp.expand.conv, module.mlp.contract.conv)
        return [] if module.attention is not None else [conv.out_channels for conv in both]
    if not isinstance(module, SpikingBlock) or not isinstance(module.mlp, SpikingMLP):
        return []
    mlp = [module.mlp.expand.out_features, module.mlp.contract.out_features]
    bare = module.attention is None or module.local is not None
    pairs = isinstance(getattr(module.attention, "out", None), RepLinear)
    return mlp if bare or pairs else [*mlp, mlp[1]]


def _before_norms(state: dict[str, Tensor]) -> set[str]:
    """Names of layers with a bias in front of a batch norm: all but the classifier."""
    norms = {key.rpartition(".")[0] for key in state if key.endswith("running_mean")}
    layers = {key.removesuffix(".bias") for key in state if key.endswith(".bias")}
    return layers - norms - {"head", "head_kd"}


def _gap(found: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest expected magnitude."""
    return ((found - expected).abs().max() / expected.abs().max().clamp(min=1e-30)).item()


if __name__ == "__main__":
    sys.path.insert(0, str(SCRIPTS))
    main()
