"""Try every kind of layer on every target; write docs/concepts/layers.md.

    python scripts/layers_by_target.py

A small network for each kind is lowered for each target that `spikeformer.hardware.targets` finds,
and written as a NIR file. What is refused is refused with the message that users get. Needs no
toolchain and the extra `nir`.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(REPOSITORY)]

from spikeformer.config import FusionConfig  # noqa: E402
from spikeformer.conversion import SpikeformerConverter  # noqa: E402
from spikeformer.encoding import (  # noqa: E402
    DeltaCoding,
    DirectCoding,
    EventCoding,
    FrameCoding,
    LatencyCoding,
    PoissonCoding,
    RateCoding,
)
from spikeformer.error_handling import SpikeformerError  # noqa: E402
from spikeformer.hardware import InputShape, Lowered, export_nir, lower  # noqa: E402
from spikeformer.hardware.deployer import known_input_shape  # noqa: E402
from spikeformer.hardware.targets import deployer_classes  # noqa: E402
from spikeformer.models import (  # noqa: E402
    CausalLMHead,
    ClassificationHead,
    DelayLinear,
    SpikingAttention,
    SpikingNetwork,
    SpikingTransformer,
    SpikingViT,
)
from spikeformer.models.mechanisms import (  # noqa: E402
    QKTokenAttention,
    SpikeDrivenAttention,
    SpikingSelfAttention,
)
from spikeformer.multimodal import (  # noqa: E402
    AudioSpikeEncoder,
    MultiModalNetwork,
    VisionSpikeEncoder,
)
from spikeformer.neurons import (  # noqa: E402
    AdLifNeuron,
    CubaLifNeuron,
    IntegerLifNeuron,
    LifNeuron,
    ParametricLifNeuron,
)

PAGE = REPOSITORY / "docs" / "concepts" / "layers.md"
HARD = partial(LifNeuron, reset="zero", tau_mem=2.0)
T = 3


def behind(*layers: nn.Module, encoder: nn.Module | None = None, neuron: Callable = HARD):
    """Return layers between an encoder and neurons, with neurons and a readout behind."""
    return nn.Sequential(encoder or RateCoding(T), *layers, neuron(), nn.Flatten(2))


class Frames(nn.Module):
    """Runs a layer of frames on every timestep."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, timesteps, ...)."""
        return self.layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class Works(nn.Module):
    """Runs a function on currents."""

    def __init__(self, function: Callable) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply it."""
        return self.function(x)


def vit(**settings):
    given = {"neuron": HARD, "timesteps": T, "stem_strides": (2,), **settings}
    backbone = SpikingViT(1, 4, d_model=8, nhead=2, num_layers=1, **given)
    return SpikingNetwork(backbone, ClassificationHead(8, 3))


def text(head=ClassificationHead, **settings):
    settings |= {"neuron": HARD, "attention": attention(SpikeDrivenAttention)}
    backbone = SpikingTransformer(20, 8, 2, 1, T, max_length=5, **settings)
    return SpikingNetwork(backbone, head(8, 3))


def fusion(kind):
    encoders = {
        "vision": VisionSpikeEncoder(8, T, in_channels=1, neuron=HARD),
        "audio": AudioSpikeEncoder(8, T, n_fft=64, num_mels=4, neuron=HARD),
    }
    config = FusionConfig(kind, shared_dim=8, num_heads=2, timesteps=T)
    return MultiModalNetwork(encoders, config, 3, num_layers=1, neuron=HARD)


def attention(mechanism):
    return partial(SpikingAttention, mechanism=mechanism)


def converted(*layers: nn.Module, shape: tuple[int, ...]) -> tuple[nn.Module, tuple[int, ...]]:
    """Return a converted network, and the shape of its samples."""
    network = nn.Sequential(*layers).eval()
    return SpikeformerConverter(T).convert(network, torch.rand(4, *shape)), shape


IMAGE, ROW, STEPS = (2, 4, 4), (6,), (T, 6)
VIDEO = {"vision": (1, 4, 4), "audio": (500,)}
LAYERS: dict[str, dict[str, tuple[nn.Module, InputShape | None]]] = {
    "Encodings": {
        "direct": (behind(encoder=DirectCoding(T)), ROW),
        "rate": (behind(encoder=RateCoding(T)), ROW),
        "Poisson": (behind(encoder=PoissonCoding(T)), ROW),
        "latency": (behind(encoder=LatencyCoding(T)), ROW),
        "delta": (behind(encoder=DeltaCoding(T)), ROW),
        "events": (behind(encoder=EventCoding(T)), STEPS),
        "frames of real numbers": (behind(encoder=FrameCoding(T)), STEPS),
        "token ids and padding": (text(), None),
    },
    "Neurons": {
        "LIF, hard reset (`lif_hard`)": (behind(), ROW),
        "LIF, soft reset (`lif`)": (behind(neuron=LifNeuron), ROW),
        "learned leak, hard reset (`plif`)": (
            behind(neuron=partial(ParametricLifNeuron, reset="zero")),
            ROW,
        ),
        "integrate-and-fire (`if`)": (behind(neuron=partial(HARD, tau_mem=math.inf)), ROW),
        "adaptive (`adlif`)": (behind(neuron=AdLifNeuron), ROW),
        "currents that last (`cuba`)": (
            behind(neuron=partial(CubaLifNeuron, reset="zero", tau_mem=2.0, tau_syn=2.0)),
            ROW,
        ),
        "integer (`ilif`)": (behind(neuron=IntegerLifNeuron), ROW),
    },
    "Attention": {
        "QK-token (`qk_token`)": (vit(attention=attention(QKTokenAttention)), None),
        "SDSA (`sdsa`)": (vit(attention=attention(SpikeDrivenAttention)), None),
        "causal SDSA, language-model head": (text(CausalLMHead, causal=True), None),
        "SSA (`ssa`)": (vit(attention=attention(SpikingSelfAttention)), None),
        "softmax": (behind(nn.Softmax(-1)), ROW),
    },
    "Fusion of images and sounds": {
        "cross-attention (`cross_attention`)": (fusion("cross_attention"), VIDEO),
        "tokens in a row (`concat`)": (fusion("concat"), VIDEO),
        "gates (`gated`)": (fusion("gated"), VIDEO),
        "late (`late`)": (fusion("late"), VIDEO),
    },
    "Residuals": {
        "membrane": (vit(residual="membrane"), None),
        "SEW": (vit(residual="sew"), None),
    },
    "Layers": {
        "`nn.Linear`": (behind(nn.Linear(6, 4)), ROW),
        "learnt delays (`DelayLinear`)": (
            behind(DelayLinear(6, 4, 2), encoder=EventCoding(T)),
            STEPS,
        ),
        "`nn.Conv1d`": (behind(Frames(nn.Conv1d(2, 3, 3))), (2, 6)),
        "`nn.Conv2d`": (behind(Frames(nn.Conv2d(2, 3, 3, 2, 1))), IMAGE),
        "`nn.ConvTranspose2d`": (behind(Frames(nn.ConvTranspose2d(2, 3, 2))), IMAGE),
        "`nn.Conv3d`": (behind(Frames(nn.Conv3d(1, 1, 1))), (1, 2, 4, 4)),
        "average pooling": (behind(Frames(nn.AvgPool2d(2))), IMAGE),
        "maximum of spikes": (behind(Frames(nn.MaxPool2d(2))), IMAGE),
        "maximum of currents": (
            behind(Frames(nn.Conv2d(2, 3, 3)), Frames(nn.MaxPool2d(2))),
            IMAGE,
        ),
        "batch norm": (behind(Frames(nn.BatchNorm2d(2))), IMAGE),
        "layer norm": (behind(nn.LayerNorm(6)), ROW),
        "dropout": (behind(nn.Dropout()), ROW),
        "`nn.ReLU`": (behind(nn.ReLU()), ROW),
        "`nn.GELU`": (behind(nn.GELU()), ROW),
        "`nn.LSTM`": (behind(nn.LSTM(6, 6)), ROW),
    },
    "Arithmetic": {
        "sums, slices, transposes": (behind(Works(lambda x: x.flip(2) + x)), ROW),
        "product with numbers": (behind(Works(lambda x: 0.5 * x)), ROW),
        "product of spikes": (behind(Works(lambda x: x * x.flip(2))), ROW),
        "matrix product of spikes": (behind(Works(lambda x: x @ x.mT)), (2, 6)),
        "division by what changes": (behind(Works(lambda x: 1 / (1 + x))), ROW),
    },
    "Converted networks, with a host": {
        "linear layers, on the chip": converted(nn.Linear(6, 8), nn.Linear(8, 3), shape=ROW),
        "softmax attention, layer norm, GELU, on the host": converted(
            nn.TransformerEncoderLayer(8, 2, 12, activation="gelu", batch_first=True), shape=(5, 8)
        ),
        "`nn.Conv1d` on events, on the host": converted(
            nn.Conv1d(2, 3, 3), nn.Conv1d(3, 4, 2), nn.Linear(3, 2), shape=(2, 6)
        ),
    },
}


def refusals() -> dict[str, dict[str, dict[str, str | None]]]:
    """Return why each target refuses each layer, None where it does not, by section."""
    deployers = {kind.target.label or name: kind() for name, kind in deployer_classes().items()}
    found: dict[str, dict[str, dict[str, str | None]]] = {}
    for section, layers in LAYERS.items():
        for name, (network, shape) in layers.items():
            row = found.setdefault(section, {}).setdefault(name, {})
            try:
                lowered = lower(network, shape or known_input_shape(network))
            except SpikeformerError as error:
                row |= dict.fromkeys([*deployers, "NIR"], str(error))
                continue
            for target, deployer in deployers.items():
                row[target] = _refused(deployer.lowered, lowered)
            row["NIR"] = _refused(_as_nir, lowered)
    return found


def _refused(takes: Callable, lowered: Lowered) -> str | None:
    """Return the message with which something refuses a network."""
    try:
        takes(lowered)
    except SpikeformerError as error:
        return str(error)
    return None


def _as_nir(lowered: Lowered) -> None:
    with tempfile.TemporaryDirectory() as folder:
        export_nir(lowered.graph, Path(folder) / "a.nir")


HEAD = """# Layers and targets

What goes where, found by trying: `python scripts/layers_by_target.py` lowers a small network of
each kind for each target and writes it as a NIR file. A number stands for the message with which it
is refused. [A layer of your own](../how-to/hardware.md#a-layer-of-your-own) says how to add one.
"""


def page(found: dict[str, dict[str, dict[str, str | None]]]) -> str:
    """Return the page: a table for each section, and the messages below."""
    targets = list(next(iter(next(iter(found.values())).values())))
    reasons: list[str] = []
    lines = [HEAD]
    for section, layers in found.items():
        lines += [
            f"## {section}",
            "",
            f"| | {' | '.join(targets)} |",
            f"|---|{'---|' * len(targets)}",
        ]
        for name, row in layers.items():
            cells = []
            for target in targets:
                reason = row[target]
                if reason is None:
                    cells.append("yes")
                    continue
                plain = " ".join(reason.split())
                if plain not in reasons:
                    reasons.append(plain)
                cells.append(f"no ({reasons.index(plain) + 1})")
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append("")
    lines += ["## Why not", ""]
    lines += [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    return "\n".join(lines) + "\n"


def main() -> None:
    torch.manual_seed(0)
    PAGE.write_text(page(refusals()), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
