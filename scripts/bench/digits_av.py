"""Train `experiment=digits_av` with several seeds and measure it under noise.

Writes docs/benchmarks/digits_av.{json,md,svg} and digits_av-attention.svg.

python scripts/bench/digits_av.py --fsdd /data/fsdd --seeds 0 1 2

Runs that are finished in --runs are not trained again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(REPOSITORY / "scripts"), str(REPOSITORY)]

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from bench import digits_av_cells, digits_av_page  # noqa: E402
from bench.machine import describe  # noqa: E402
from spikeformer import load_run  # noqa: E402
from spikeformer.config import instantiate  # noqa: E402
from spikeformer.data import add_noise  # noqa: E402
from spikeformer.fusion import confidence_weights  # noqa: E402
from spikeformer.instrument import ActivityProbe  # noqa: E402
from spikeformer.pipeline import LoadedRun  # noqa: E402

STORED = REPOSITORY / "docs" / "benchmarks" / "digits_av"
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
CLEAN = float("inf")
AUGMENTATION = ("noisy_share", "max_image_noise", "min_snr_db")


# Fusions that join tokens have to learn what it is to lack a modality; joined predictions do not.
DROPOUT = ("model.modality_dropout=0.4",)
FUSIONS = {
    "late": (),
    "cross_attention": ("model.fusion.fusion_type=cross_attention", *DROPOUT),
    "gated": ("model.fusion.fusion_type=gated", *DROPOUT),
    "concat": ("model.fusion.fusion_type=concat", *DROPOUT),
}


@dataclass(frozen=True)
class Training:
    """A network that is trained: on a split, with one modality or with two that a fusion joins."""

    split: str
    modalities: str
    fusion: str | None = None

    @property
    def name(self) -> str:
        """Name of its run folders."""
        parts = (self.split, self.modalities.replace(",", "-"), self.fusion)
        return "-".join(part for part in parts if part)


# The network of both modalities also predicts from either of them.
TRAINED = (
    Training("recordings", "vision,audio", "late"),
    Training("recordings", "vision"),
    Training("recordings", "audio"),
    Training("speakers", "vision,audio", "late"),
    *(Training("recordings", "vision,audio", fusion) for fusion in FUSIONS if fusion != "late"),
)


@dataclass(frozen=True)
class Condition:
    """Noise of the test samples.

    Attributes:
        sweep: "vision", "audio" or "both", the modalities that get noise.
        image_noise: Standard deviation; pixels are in [0, 1].
        snr_db: Signal-to-noise ratio of the sound in dB; infinite is clean.
    """

    sweep: str
    image_noise: float = 0.0
    snr_db: float = CLEAN


CONDITIONS = (
    *(Condition("vision", noise) for noise in (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)),
    *(Condition("audio", 0.0, ratio) for ratio in (CLEAN, 20.0, 10.0, 5.0, 0.0, -5.0, -10.0)),
    *(Condition("both", *pair) for pair in ((0.25, 20.0), (0.5, 10.0), (0.75, 5.0), (1.0, 0.0))),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fsdd", required=True, help="folder with the recordings' parquet files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", default="outputs/bench-digits_av", help="folder of the runs")
    parser.add_argument("--measure-only", action="store_true", help="train nothing that is missing")
    parser.add_argument("--remark", default="", help="what the page says of the circumstances")
    arguments = parser.parse_args()
    measured, recipe = [], {}
    for training in TRAINED:
        for seed in arguments.seeds:
            folder = Path(arguments.runs) / f"{training.name}-{seed}"
            if not finished(folder):
                if arguments.measure_only:
                    continue
                train(folder, arguments.fsdd, training, seed)
            run = load_run(REPOSITORY / folder)
            measured.append(measure(run, training, seed))
            if training.fusion == "late":
                data, model = run.config.data, run.config.model
                recipe = {key: data[key] for key in AUGMENTATION}
                recipe["temperature"] = model.fusion.temperature
            print(folder, measured[-1]["results"][0], flush=True)
    result = {
        "command": " ".join(
            [
                "python scripts/bench/digits_av.py --fsdd FOLDER --seeds",
                *map(str, arguments.seeds),
                *(["--measure-only"] if arguments.measure_only else []),
            ]
        ),
        **describe(),
        "recipe": recipe,
        "remark": arguments.remark,
        "runs": measured,
    }
    STORED.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    digits_av_page.write(result, STORED)
    print(STORED.with_suffix(".md").read_text())


def finished(folder: Path) -> bool:
    """Whether a run is there, tested and all."""
    return (REPOSITORY / folder / "results" / "sample.npz").is_file()


def train(folder: Path, fsdd: str, training: Training, seed: int) -> None:
    """Train one network."""
    speaker = SPEAKERS[seed % len(SPEAKERS)] if training.split == "speakers" else "theo"
    subprocess.run(
        [
            sys.executable,
            "train.py",
            "experiment=digits_av",
            f"data.path={fsdd}",
            f"seed={seed}",
            f"data.modalities=[{training.modalities}]",
            f"data.split={training.split}",
            f"data.test_speakers=[{speaker}]",
            f"hydra.run.dir={folder}",
            "callbacks=[checkpoint,firing_rate,unimodal_loss]",
            "logger=none",
            "trainer.accelerator=cpu",
            *(FUSIONS[training.fusion] if training.fusion else ()),
        ],
        cwd=REPOSITORY,
        check=True,
    )


def measure(run: LoadedRun, training: Training, seed: int) -> dict:
    """Test one network under every condition."""
    data = instantiate(run.config.data)
    data.setup("test")
    test = data.splits.test
    fit = run.manifest.stages["fit"].result
    split, modalities = training.split, training.modalities.split(",")
    sweeps = (*modalities, "both" if len(modalities) > 1 else modalities[0])
    conditions = [condition for condition in CONDITIONS if condition.sweep in sweeps]
    if split == "speakers":
        conditions = conditions[:1]  # without noise
    return {
        "split": split,
        "modalities": modalities,
        "fusion": training.fusion,
        "seed": seed,
        "test_speakers": list(run.config.data.test_speakers) if split == "speakers" else None,
        "samples": len(test),
        "epochs": fit["epochs"],
        "training_seconds": fit["seconds"],
        "num_parameters": fit["num_parameters"],
        "results": list(results(run.network, conditions, test.inputs, test.targets)),
    }


def results(
    model: nn.Module, conditions: list[Condition], inputs: dict[str, Tensor], targets: Tensor
) -> Iterator[dict]:
    """Yield what a network predicts under each condition, from all modalities and from each."""
    alone: dict[tuple[str, float], float] = {}
    for condition in conditions:
        described = asdict(condition)
        changed = noisy(inputs, condition)
        found = predictions(model, changed, targets)
        for name, x in changed.items() if len(changed) > 1 else ():
            # A modality that is alone predicts the same whatever noise the other one has.
            heard = name, described[digits_av_cells.NOISES[name]]
            if heard not in alone:
                alone[heard] = accuracy(model, {name: x}, targets)
            found[f"{name}_alone"] = alone[heard]
        yield {k: v if v != CLEAN else None for k, v in described.items()} | found


def noisy(inputs: dict[str, Tensor], condition: Condition) -> dict[str, Tensor]:
    """Return the test inputs with noise, the same in every run."""
    changed = dict(inputs)
    if "vision" in inputs and condition.image_noise:
        generator = torch.Generator().manual_seed(1)
        noise = torch.randn(inputs["vision"].shape, generator=generator)
        changed["vision"] = (inputs["vision"] + condition.image_noise * noise).clamp(0, 1)
    if "audio" in inputs and condition.snr_db != CLEAN:
        generator = torch.Generator().manual_seed(2)
        changed["audio"] = add_noise(inputs["audio"], condition.snr_db, generator)
    return changed


def predictions(model: nn.Module, inputs: dict[str, Tensor], targets: Tensor) -> dict:
    """Return the accuracy and, where modalities meet, what decides how much each of them counts.

    That is the share of open gates of a modality in cross-modal attention, and the mean weight of
    its prediction in late fusion.
    """
    with ActivityProbe(model) as probe, watch_answers(model) as logits:
        found: dict = {"accuracy": accuracy(model, inputs, targets)}
    gates = {
        name: layer.firing_rate.compute().item()
        for name in inputs
        for path, layer in probe.layers.items()
        if path == f"transformer.fusion.attentions.{name}.mechanism.neuron"
    }
    if len(logits) > 1:
        stacked = torch.stack([torch.cat(each) for each in logits.values()])
        weights = confidence_weights(stacked, model.transformer.temperature).mean(dim=1)
        found["attention"] = dict(zip(logits, weights.tolist(), strict=True))
    return found | ({"attention": gates} if gates else {})


@contextmanager
def watch_answers(model: nn.Module) -> Iterator[dict[str, list[Tensor]]]:
    """Collect the logits of each modality by itself, where a late fusion joins them."""
    logits: dict[str, list[Tensor]] = {}

    def keep(name: str, head: nn.Module, inputs: Any, outputs: Tensor) -> None:
        logits.setdefault(name, []).append(outputs)

    heads = model.transformer.heads.items() if model.transformer.late else ()
    handles = [head.register_forward_hook(partial(keep, name)) for name, head in heads]
    try:
        yield logits
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def accuracy(model: nn.Module, inputs: dict[str, Tensor], targets: Tensor) -> float:
    """Return the share of right classes."""
    right = sum(
        int((model(**batch).mean(1).argmax(1) == labels).sum())
        for batch, labels in batches(inputs, targets)
    )
    return right / len(targets)


def batches(
    inputs: dict[str, Tensor], targets: Tensor, size: int = 100
) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
    """Yield parts of the samples."""
    for start in range(0, len(targets), size):
        part = slice(start, start + size)
        yield {name: x[part] for name, x in inputs.items()}, targets[part]


if __name__ == "__main__":
    main()
