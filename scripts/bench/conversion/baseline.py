"""Convert the same two models with SpikeFormer and SpikingJelly.

Writes docs/benchmarks/conversion-baseline.{json,md}:

python scripts/bench/conversion/baseline.py

SpikingJelly runs in its own environment, which `make bench-baselines` installs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path[:1] = [str(REPOSITORY / "scripts"), str(REPOSITORY)]

STORED = REPOSITORY / "docs" / "benchmarks" / "conversion-baseline"
TIMESTEPS = (4, 8, 16, 32, 64)
CALIBRATION = 256
EPOCHS = 30

# Recipe of SpikingJelly, name in the table, arguments that differ from its defaults.
RECIPES: dict[str, tuple[tuple[str, str, dict[str, Any]], ...]] = {
    "CNN with ReLU": (
        ("rate", "rate coding, defaults", {}),
        ("rate", "rate coding, per channel, 99.9 %", {"channel_wise": True, "mode": "99.9%"}),
        (
            "rate",
            "rate coding, per channel, half threshold",
            {"channel_wise": True, "half_threshold": True},
        ),
        ("sta", "STA, spiking encoder", {"mode": "spiking_encoder"}),
    ),
    "transformer": (
        ("rate", "rate coding, defaults", {}),
        ("sta", "STA, spiking encoder", {"mode": "spiking_encoder"}),
        (
            "sta",
            "STA, spiking encoder, scale 0.5",
            {"mode": "spiking_encoder", "threshold_scale": 0.5},
        ),
        ("sta", "STA, equivalent (floating point)", {"mode": "equivalent"}),
    ),
}


class Block(nn.Module):
    """A pre-norm transformer block, traceable by `torch.fx`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 128), nn.GELU(), nn.Linear(128, width))

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens [batch, token, width] to the same shape."""
        y = self.norm1(x)
        attended, _ = self.attention(y, y, y, need_weights=False)
        x = x + attended
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """Read the digit's eight rows as tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 64)
        self.position = nn.Parameter(torch.randn(1, 8, 64) * 0.02)
        self.blocks = nn.Sequential(Block(64), Block(64))
        self.norm = nn.LayerNorm(64)
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [batch, row, column] to logits [batch, class]."""
        x = self.blocks(self.embed(x) + self.position)
        return self.head(self.norm(x)[:, 0])


def build(name: str) -> nn.Module:
    if name == "transformer":
        return Transformer()
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def shaped(name: str, images: Tensor) -> Tensor:
    """Give the images the channel that a convolution expects."""
    return images if name == "transformer" else images.unsqueeze(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--baseline", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.baseline:
        convert_with_baseline(arguments.baseline)
        return
    from bench.client import interpreter
    from bench.machine import describe

    torch.manual_seed(0)
    train, labels, test, targets = digits()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        exchange = Path(folder, "exchange.pt")
        models = {name: fit(build(name), shaped(name, train), labels) for name in RECIPES}
        states = {name: model.state_dict() for name, model in models.items()}
        data = {"states": states, "calibration": train[:CALIBRATION], "test": test}
        torch.save(data, exchange)
        subprocess.run([interpreter("spikingjelly"), __file__, "--baseline", exchange], check=True)
        found = torch.load(exchange, weights_only=True)
    for name, model in models.items():
        with torch.no_grad():
            original = model(shaped(name, test))
        rows = ours(model, shaped(name, train[:CALIBRATION]), shaped(name, test)) + found[name]
        results[name] = {
            "accuracy": share(original, targets),
            "rows": [score(row, original, targets) for row in rows],
        }
    result = {
        "command": "python scripts/bench/conversion/baseline.py",
        **describe(),
        "spikingjelly": found["version"],
        "baseline_torch": found["torch"],
        "test_samples": len(test),
        "calibration_samples": CALIBRATION,
        "models": results,
    }
    STORED.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    STORED.with_suffix(".md").write_text(page(result))
    print(page(result))


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return images and labels for training, and for testing."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images, labels, test_size=0.3, random_state=0, stratify=labels)
    train, test = (torch.tensor(x, dtype=torch.float32).view(-1, 8, 8) / 16 for x in parts[:2])
    return train, torch.tensor(parts[2]), test, torch.tensor(parts[3])


def fit(model: nn.Module, images: Tensor, labels: Tensor) -> nn.Module:
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(64):
            loss = F.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def ours(model: nn.Module, calibration: Tensor, test: Tensor) -> list[dict[str, Any]]:
    from spikeformer import SpikeformerConverter

    rows = []
    for name, options in (
        ("SpikeFormer, defaults", {}),
        ("SpikeFormer, binary, IF", {"spike_encoding": "binary", "neuron_model": "IF"}),
    ):
        row: dict[str, Any] = {"name": name, "outputs": {}, "error": None}
        for timesteps in TIMESTEPS:
            try:
                snn = SpikeformerConverter(timesteps, **options).convert(model, calibration)
                with torch.no_grad():
                    row["outputs"][timesteps] = snn(test)
            except Exception as error:
                row["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
                break
        rows.append(row)
    return rows


def convert_with_baseline(exchange: Path) -> None:
    """Run in the environment of SpikingJelly: read models, write logits."""
    data = torch.load(exchange, weights_only=True)
    found: dict[str, Any] = {"version": version("spikingjelly"), "torch": version("torch")}
    for name, recipes in RECIPES.items():
        found[name] = []
        for recipe, label, options in recipes:
            row: dict[str, Any] = {"name": f"SpikingJelly, {label}", "outputs": {}, "error": None}
            try:
                for timesteps in TIMESTEPS:
                    model = build(name)
                    model.load_state_dict(data["states"][name])
                    images = [shaped(name, data[key]) for key in ("calibration", "test")]
                    output = baseline_logits(model.eval(), recipe, options, timesteps, *images)
                    row["outputs"][timesteps] = output
            except Exception as error:
                row["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
            found[name].append(row)
    torch.save(found, exchange)


@torch.no_grad()
def baseline_logits(
    model: nn.Module,
    recipe: str,
    options: dict[str, Any],
    timesteps: int,
    calibration: Tensor,
    test: Tensor,
) -> Tensor:
    from spikingjelly.activation_based import ann2snn, functional

    batches = calibration.split(64)
    if recipe == "rate":
        chosen = ann2snn.RateCodingRecipe(dataloader=batches, **options)
        inputs = test.expand(timesteps, *test.shape)  # the image, as a current, at every step
    else:
        chosen = ann2snn.STATransformerRecipe(dataloader=batches, time_steps=timesteps, **options)
        inputs = torch.zeros(timesteps, *test.shape)
        inputs[0] = test  # increments: the whole image first, as in the example of the library
    snn = ann2snn.Converter(recipe=chosen).convert(model).eval()
    functional.set_step_mode(snn, "m")
    functional.reset_net(snn)
    outputs = snn(inputs)
    return outputs.mean(0) if recipe == "rate" else outputs.sum(0)


def share(logits: Tensor, targets: Tensor) -> float:
    return float((logits.argmax(-1) == targets).float().mean())


def score(row: dict[str, Any], original: Tensor, targets: Tensor) -> dict[str, Any]:
    steps = [
        {
            "timesteps": timesteps,
            "accuracy": share(logits, targets),
            "agreement": share(logits, original.argmax(-1)),
            "error": float((logits - original).norm() / original.norm()),
        }
        for timesteps, logits in row["outputs"].items()
    ]
    return {"name": row["name"], "error": row["error"], "steps": steps}


def page(result: dict[str, Any]) -> str:
    parts = []
    for name, model in result["models"].items():
        lines = [
            f"## {name[0].upper()}{name[1:]}",
            f"\nAccuracy of the original: **{model['accuracy']:.2%}**. Accuracy / same class:\n",
            "| conversion | " + " | ".join(f"T = {t}" for t in TIMESTEPS) + " |",
            "|---" * (len(TIMESTEPS) + 1) + "|",
        ]
        for row in model["rows"]:
            cells = [f"{s['accuracy']:.2%} / {s['agreement']:.2%}" for s in row["steps"]]
            cells += ["did not run"] * (len(TIMESTEPS) - len(cells))
            lines.append(f"| {row['name']} | " + " | ".join(cells) + " |")
        errors = [f"- {r['name']}: `{r['error']}`" for r in model["rows"] if r["error"]]
        parts.append(
            "\n".join([*lines, *(["", "What did not run:", ""] if errors else []), *errors])
        )
    sections = "\n\n".join(parts)
    return f"""# Conversion beside SpikingJelly

Two small models, trained on the digits of scikit-learn, converted by both libraries in one run
from the same weights, with the same {result["calibration_samples"]} training images for
calibration, and evaluated on the same {result["test_samples"]} test images. "Same class" is the
share of images for which a converted model predicts what the original predicts.

{sections}

## How each was set

- SpikeFormer: `SpikeformerConverter(T)` and `.convert(model, images)`; the default sends signed
  spikes of several sizes, the binary coding one spike of one size per timestep.
- SpikingJelly, rate coding: `RateCodingRecipe`, integrate-and-fire neurons, the image as input at
  every timestep, the mean of the outputs over T. Its hidden messages are binary, so the binary row
  of SpikeFormer is its like; it converts ReLU only, anything else stays as it is.
- SpikingJelly, STA: `STATransformerRecipe(time_steps=T)`, thresholds by mean squared error, the
  whole image in the first timestep and zeros after it, the sum of the outputs, as in its example.
  Its spiking encoders stand behind LayerNorm, GELU and attention and send a count of spikes per
  timestep; linear layers stay floating point. Mode "equivalent" has no spikes: it is a reference.

The messages differ in kind between the libraries, and events were not counted here: the table
compares predictions at a number of timesteps, not cost. These models are small and easy.

Measured on {result["date"]} on {result["machine"]["cpu"]}, one thread, SpikingJelly
{result["spikingjelly"]} (torch {result["baseline_torch"]}), SpikeFormer's torch
{result["packages"]["torch"]}, by `{result["command"]}`; the numbers are in
[conversion-baseline.json](conversion-baseline.json).
"""


if __name__ == "__main__":
    main()
