"""Measure what spiking forms of softmax, layer norm and GELU cost, and what they spare a host.

python scripts/bench/conversion/functions.py --vit outputs/digits-vit
python scripts/bench/conversion/functions.py --vit outputs/digits-vit --bert outputs/bert \
    --sst2 /data/sst2

Accuracy is that of the converted network in PyTorch, untuned, with one form at a time and with all.
The graphs run in NumPy on some samples, which counts events, traffic and energy.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path[:1] = [str(REPOSITORY / "scripts"), str(REPOSITORY)]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from bench.machine import describe  # noqa: E402
from spikeformer.conversion import (  # noqa: E402
    ConversionPipeline,
    PretrainedTransformer,
    SpikeformerConverter,
    SpikingModel,
)
from spikeformer.conversion.coding.forms import FORMS  # noqa: E402
from spikeformer.conversion.coding.groups import GROUPS  # noqa: E402
from spikeformer.data import DigitsDataModule, TextDataModule, batch  # noqa: E402
from spikeformer.hardware import (  # noqa: E402
    LOIHI2,
    Loihi2Deployer,
    compare,
    lower,
    place,
    record_reference,
    reference_spikes,
    simulate,
)
from spikeformer.hardware.energy import modelled_energy, traffic  # noqa: E402

RESULT = REPOSITORY / "docs" / "benchmarks" / "functions.json"
TIMESTEPS, CALIBRATION, PARTS = 8, 128, 90


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vit", required=True, help="ViT for the digits, of pretrain.py")
    parser.add_argument("--bert", help="BERT for SST-2, of pretrain.py")
    parser.add_argument("--sst2", help="folder with SST-2")
    parser.add_argument("--samples", type=int, default=360, help="test samples in PyTorch")
    parser.add_argument("--simulated", type=int, default=16, help="of these in the graphs")
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    sets: dict[str, tuple[str, Any]] = {
        "ViT on digits": (arguments.vit, DigitsDataModule(val_fraction=0.0))
    }
    if arguments.bert:
        sentences = TextDataModule(
            path=arguments.sst2, num_classes=2, val_fraction=0.0, tokenizer=arguments.bert
        )
        sets["BERT on SST-2"] = (arguments.bert, sentences)
    found = {
        name: measure(folder, data, arguments.samples, arguments.simulated)
        for name, (folder, data) in sets.items()
    }
    result = {"timesteps": TIMESTEPS, "models": found, "machine": describe()}
    arguments.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


def measure(folder: str, data: Any, samples: int, simulated: int) -> dict[str, Any]:
    """Return accuracies of all forms and figures of both graphs for one network."""
    data.setup()
    network = PretrainedTransformer(folder)
    calibration = [network.arguments(inputs) for inputs, _ in data.train_dataloader()]
    pipeline = ConversionPipeline(
        calibration, progress=False, converter=SpikeformerConverter(TIMESTEPS)
    )
    snn = pipeline.convert(network.model, calibration_samples=CALIBRATION, fine_tune_epochs=0)
    inputs, targets = _first(data, network, samples)
    spiking = replace(snn.coding, functions="spiking")
    exact = snn.coding
    rows = [{"forms": "exact", **_accuracy(snn, network, inputs, targets)}]
    snn.coding = spiking
    for names in (*([name] for name in FORMS), list(FORMS)):
        chosen = {name: FORMS[name] for name in names}
        with patch.dict(FORMS, chosen, clear=True):
            accuracies = _accuracy(snn, network, inputs, targets)
        rows.append({"forms": " + ".join(names), **accuracies})
    few = {name: x[:simulated] for name, x in inputs.items()}
    graphs = {}
    for coding in (exact, spiking):
        snn.coding = coding
        graphs[coding.functions] = _graph(snn, few)
    return {"samples": len(targets), "simulated": simulated, "accuracy": rows, "graphs": graphs}


def _first(data: Any, network: Any, samples: int) -> tuple[dict[str, Tensor], Tensor]:
    batches = [(network.arguments(inputs), labels) for inputs, labels in data.test_dataloader()]
    inputs = {name: torch.cat([x[name] for x, _ in batches])[:samples] for name in batches[0][0]}
    return inputs, torch.cat([labels for _, labels in batches])[:samples]


@torch.no_grad()
def _accuracy(
    snn: SpikingModel, network: Any, inputs: Mapping[str, Tensor], targets: Tensor
) -> dict[str, float]:
    ours, theirs = (
        torch.cat([net(**part).logits for part in batch.parts(dict(inputs), PARTS)])
        for net in (snn, network.model)
    )
    same = (ours.argmax(-1) == theirs.argmax(-1)).double()
    return {
        "accuracy": float((ours.argmax(-1) == targets).double().mean()),
        "accuracy_of_original": float((theirs.argmax(-1) == targets).double().mean()),
        "agreement": float(same.mean()),
        "logit_error": float((ours - theirs).norm() / theirs.norm()),
    }


def _graph(snn: SpikingModel, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
    graph = lower(snn, {name: tuple(x.shape[1:]) for name, x in inputs.items()}).graph
    reference = record_reference(snn, dict(inputs))
    events = simulate(graph, reference.inputs)
    comparison = compare(graph, reference_spikes(graph, reference), events)
    outputs = graph.outputs({**reference.inputs, **events})
    spikes = {**reference.inputs, **events}
    energy = modelled_energy(Loihi2Deployer.target.prices, graph, spikes)
    groups = {*GROUPS} - {"copy"}
    return {
        "neurons": graph.num_neurons,
        "of_these_groups": sum(p.size for p in graph.differential if p.function in groups),
        "synapses": graph.num_synapses,
        "cores": place(graph, LOIHI2).num_cores,
        "mismatches": comparison.mismatches,
        "compared": comparison.compared,
        "largest_difference_of_outputs": float(np.abs(outputs - reference.outputs).max()),
        "multiplications_of_a_timestep": graph.multiplications,
        "traffic": traffic(graph, spikes),
        "energy_uj": {
            each.technology: [each.energy_uj.low, each.energy_uj.value, each.energy_uj.high]
            for each in energy
        },
    }


if __name__ == "__main__":
    main()
