"""Compare hybrid with spiking-only training on a part of CIFAR-10; write docs/benchmarks/hybrid.

python scripts/bench/hybrid.py --data /data/cifar10 --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import lightning as L
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import machine
from spikeformer.data import ImageDataModule
from spikeformer.models import ClassificationHead, SpikingNetwork, SpikingViT
from spikeformer.neurons import LifNeuron
from spikeformer.ops import keep_freed_memory
from spikeformer.training import ClassificationModule, cosine_with_warmup
from spikeformer.training.callbacks import EpochSeed, HybridPhases
from spikeformer.training.losses import cross_entropy

TABLE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "hybrid"
ARMS = ("spiking only", "hybrid", "hybrid with teacher")


class Teacher(nn.Module):
    """A convolutional ANN of five layers."""

    def __init__(self) -> None:
        super().__init__()
        widths, strides = (3, 32, 64, 64, 128, 128), (1, 2, 1, 2, 1)
        layers: list[nn.Module] = []
        for before, after, stride in zip(widths, widths[1:], strides, strict=False):
            convolution = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.readout = nn.Linear(128, 10)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits with a time axis of one."""
        return self.readout(self.layers(images)).unsqueeze(1)


def student() -> nn.Module:
    neuron = partial(LifNeuron, tau_mem=1.4427, reset="zero", surrogate_type="sigmoid")
    backbone = SpikingViT(
        image_size=32,
        d_model=64,
        nhead=4,
        num_layers=2,
        timesteps=4,
        mlp_ratio=2.0,
        stem_strides=(2, 2),
        neuron=neuron,
    )
    return SpikingNetwork(backbone, ClassificationHead(64, 10))


def train(net: nn.Module, data, seed: int, epochs: int, lr: float, *callbacks) -> dict[str, float]:
    """Train, and return the accuracy on the test images and the seconds of training."""
    module = ClassificationModule(
        net, cross_entropy, partial(torch.optim.AdamW, lr=lr), cosine_with_warmup
    )
    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        devices=1,
        gradient_clip_val=1.0,
        callbacks=[EpochSeed(seed), *callbacks],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    begin = time.perf_counter()
    trainer.fit(module, data)
    seconds = time.perf_counter() - begin
    (metrics,) = trainer.test(module, data, verbose=False)
    return {"accuracy": metrics["test/accuracy"], "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder with CIFAR-10 as parquet")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--images", type=int, default=2500)
    parser.add_argument("--ann-epochs", type=int, default=5)
    parser.add_argument("--snn-epochs", type=int, default=3)
    parser.add_argument("--weight", type=float, default=0.7, help="the teacher's share of the loss")
    parser.add_argument("--lr", type=float, default=8e-3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    described = machine.describe()  # of the code that is measured, whatever happens to it meanwhile
    epochs = arguments.ann_epochs + arguments.snn_epochs
    with tempfile.TemporaryDirectory() as cache:
        runs, teacher = compare(arguments, epochs, cache)
    result = {
        "command": " ".join(["python scripts/bench/hybrid.py", *sys.argv[1:]]),
        **described,
        "settings": {k: v for k, v in vars(arguments).items() if k not in ("data", "seeds")},
        "parameters": sum(p.numel() for p in student().parameters()),
        "teacher": teacher,
        "runs": runs,
    }
    result["command"] = result["command"].replace(arguments.data, "DATA")
    TABLE.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    TABLE.with_suffix(".md").write_text(page(result))


def compare(arguments, epochs: int, cache: str) -> tuple[list[dict], dict]:
    """Train the teacher once and every arm with every seed, in turn."""

    def data(seed: int) -> ImageDataModule:
        return ImageDataModule(
            path=arguments.data,
            cache_dir=cache,
            num_classes=10,
            limit_train=arguments.images,
            val_fraction=0,
            crop_padding=4,
            horizontal_flip=True,
            batch_size=64,
            seed=seed,
        )

    L.seed_everything(100, verbose=False)
    teacher = Teacher()
    told = train(teacher, data(100), 100, epochs, 3e-3)
    print("teacher", told, flush=True)
    runs = []
    for seed in arguments.seeds:
        for arm in ARMS:
            L.seed_everything(seed, verbose=False)
            known = teacher if arm == "hybrid with teacher" else None
            phases = [HybridPhases(arguments.ann_epochs, known, arguments.weight)]
            reached = train(
                student(), data(seed), seed, epochs, arguments.lr, *phases[: arm != ARMS[0]]
            )
            runs.append({"arm": arm, "seed": seed, **reached})
            print(runs[-1], flush=True)
    return runs, told


def page(result: dict) -> str:
    """Return the comparison as a page of the documentation."""
    runs, settings = result["runs"], result["settings"]
    seeds = sorted({run["seed"] for run in runs})
    rows = []
    for arm in ARMS:
        mine = {run["seed"]: run for run in runs if run["arm"] == arm}
        cells = " | ".join(f"{mine[seed]['accuracy']:.2%}" for seed in seeds)
        mean = statistics.fmean(run["accuracy"] for run in mine.values())
        seconds = statistics.fmean(run["seconds"] for run in mine.values())
        rows.append(f"| {arm} | {cells} | **{mean:.2%}** | {seconds:.0f} s |")
    heads = " | ".join(f"seed {seed}" for seed in seeds)
    epochs = settings["ann_epochs"] + settings["snn_epochs"]
    hardware = result["machine"]
    return f"""# Hybrid training

[Hybrid training](../how-to/hybrid.md) beside spiking-only training, at equal epochs and otherwise
equal settings: a spiking vision transformer of {result["parameters"]:,} parameters (T = 4, LIF with
hard reset, QK-token attention), {settings["images"]:,} training images of CIFAR-10 (cropped and
flipped), all 10,000 test images, {epochs} epochs of AdamW with one cosine, learning rate
{settings["lr"]:g}. The hybrid runs spend {settings["ann_epochs"]} epochs on rates and
{settings["snn_epochs"]} on spikes. The teacher, a convolutional ANN, was trained once
for {epochs} epochs on the same images: it reaches {result["teacher"]["accuracy"]:.2%}, and its
{result["teacher"]["seconds"]:.0f} s come on top. Its share of the loss is {settings["weight"]:g}.

So few images and epochs show how training methods differ, not what the network can reach.

| training | {heads} | mean | training time |
|---|{"---|" * len(seeds)}---|---|
{chr(10).join(rows)}

Measured on {result["date"]} on {hardware["cpu"]}, one thread of a machine that others used too
(times vary, and hardly compare), torch {result["packages"]["torch"]}, by `{result["command"]}`;
the numbers are in [hybrid.json](hybrid.json).
"""


if __name__ == "__main__":
    main()
