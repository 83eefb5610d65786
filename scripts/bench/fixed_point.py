"""Compare a trained network's accuracy in a chip's integers with PyTorch's, on many images.

python scripts/bench/fixed_point.py --run outputs/RUN --images 10000

The integers are those of the NumPy model, to which Lava's are equal spike for spike; images run in
turns, so that any number of them fits into memory.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import machine
from spikeformer.data import batch
from spikeformer.hardware import HardwareModel, accuracy, agreement, lower, outputs_of, quantise
from spikeformer.pipeline.stages.hardware import chip_samples
from spikeformer.runs import load_run

BATCH = 64
RESULT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "fixed_point.json"


def measure(folder: Path, images: int, most_bytes: int) -> dict[str, Any]:
    """Return accuracies of a run's network on its first test images."""
    run = load_run(folder)
    samples = chip_samples(run.data(), images)
    net = run.network.float().eval()
    with torch.no_grad():
        parts = [batch.call(net, part).mean(dim=1) for part in batch.parts(samples.inputs, BATCH)]
    expected = torch.cat(parts).numpy()
    lowered = lower(net, samples.shape)
    graph, integers = lowered.graph, quantise(lowered.graph)
    compiled = HardwareModel("loihi2", graph, lowered.encoder, integers, host=lowered.host)
    inputs = compiled.encode(samples.inputs)
    found = outputs_of(integers, inputs, most_bytes=most_bytes)
    return {
        "images": len(samples.targets),
        "neurons": graph.num_neurons,
        "synapses": graph.num_synapses,
        "accuracy_pytorch": accuracy(expected, samples.targets),
        "accuracy_integers": accuracy(found, samples.targets),
        "agreement": agreement(found, expected, samples.targets),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of a trained run")
    parser.add_argument("--images", type=int, default=10_000, help="test images")
    parser.add_argument("--gib", type=float, default=1.0, help="memory for the spikes of a turn")
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    found = measure(arguments.run, arguments.images, int(arguments.gib * 2**30))
    lost = 100 * (found["accuracy_pytorch"] - found["accuracy_integers"])
    found |= {"points_lost": lost, "machine": machine.describe()}
    arguments.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
