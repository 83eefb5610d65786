"""Count the same networks with our profiler, SpikingJelly's counters and NeuroBench.

    make bench-baselines
    python scripts/bench/operation_counts.py

Libraries come from their own environments (`.bench/spikingjelly`, `.bench/snntorch`, and
`.bench/neurobench` as `scripts/neurobench_counts.py` says), whose packages a process of this
interpreter has behind its own. Weights and inputs are those of a seed, so that all count the same
spikes. For linear and convolutional layers the judge is a count of every product whose value is
not zero. Writes `docs/benchmarks/operation_counts.json`, and prints the table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

REPOSITORY = Path(__file__).resolve().parents[2]
RESULT = REPOSITORY / "docs" / "benchmarks" / "operation_counts.json"
T, BATCH = 4, 2


def spikingjelly_cnn() -> tuple[nn.Module, Tensor]:
    from spikingjelly.activation_based import functional, layer, neuron

    net = nn.Sequential(
        layer.Conv2d(3, 16, 3, padding=1, bias=False),
        layer.BatchNorm2d(16),
        neuron.IFNode(),
        layer.MaxPool2d(2),
        layer.Conv2d(16, 16, 3, padding=1, bias=False),
        layer.BatchNorm2d(16),
        neuron.IFNode(),
        layer.Flatten(),
        layer.Linear(16 * 8 * 8, 10),
        neuron.IFNode(),
    )
    functional.set_step_mode(net, "m")
    return net, torch.rand(T, BATCH, 3, 16, 16) * 3


def spikingjelly_spikformer() -> tuple[nn.Module, Tensor]:
    from spikingjelly.activation_based.model.spikformer import Spikformer

    net = Spikformer(
        T=T, img_size_h=32, img_size_w=32, patch_size=4, embed_dims=64, num_heads=4, depths=1
    )
    return net, torch.rand(BATCH, 3, 32, 32) * 20


def snntorch_mlp() -> tuple[nn.Module, Tensor]:
    import snntorch

    class Mlp(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.lif1 = nn.Linear(100, 64), snntorch.Leaky(beta=0.9)
            self.fc2, self.lif2 = nn.Linear(64, 10), snntorch.Leaky(beta=0.9)

        def forward(self, x: Tensor) -> Tensor:
            first, second = self.lif1.reset_mem(), self.lif2.reset_mem()
            for step in x:
                spikes, first = self.lif1(self.fc1(step), first)
                spikes, second = self.lif2(self.fc2(spikes), second)
            return spikes

    return Mlp(), (torch.rand(T, BATCH, 100) < 0.3).float()


def our_vit() -> tuple[nn.Module, Tensor]:
    from spikeformer import SpikingViT

    net = SpikingViT(in_channels=1, image_size=8, d_model=32, nhead=4, num_layers=1)
    return net, torch.rand(BATCH, 1, 8, 8)


def plain_vit() -> tuple[nn.Module, Tensor]:
    class ViT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 32, 4, stride=4)
            self.encoder = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
            self.head = nn.Linear(32, 10)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.encoder(self.patches(x).flatten(2).transpose(1, 2)).mean(1))

    return ViT(), torch.rand(BATCH, 3, 32, 32)


NETWORKS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "CNN, SpikingJelly": spikingjelly_cnn,
    "Spikformer, SpikingJelly": spikingjelly_spikformer,
    "Leaky MLP, snnTorch": snntorch_mlp,
    "SpikingViT, ours": our_vit,
    "ViT, torch": plain_vit,
}
ENVIRONMENTS = ("spikingjelly", "snntorch", "neurobench")


def make(name: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    network, inputs = NETWORKS[name]()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_var.fill_(0.02)  # untrained, hardly anything would fire
    return network.eval(), inputs


def by_us(network: nn.Module, inputs: Tensor) -> dict[str, float]:
    from spikeformer.profiling import OperationCounter

    with OperationCounter(network) as counter:
        network(inputs)
    counts = counter.works[0].counts()
    found = {name: counts.per_sample(name) * counts.samples for name in ("macs", "acs", "dense")}
    layers = [x for x in counts.layers if x.kind != "norm"]
    found["macs"] = sum(x.macs + x.skipped_macs for x in layers if not x.synaptic_operations)
    found["effective macs"] = sum(x.macs for x in layers)
    weighted = [x for x in layers if x.kind in ("linear", "conv")]
    found["weighted"] = sum(x.acs + x.macs for x in weighted)
    return {**found, "acs": sum(x.acs for x in layers)}


def by_loop(network: nn.Module, inputs: Tensor) -> dict[str, float]:
    """Count products with a value that is not zero in linear and convolutional layers."""
    total = 0.0

    def hear(module: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal total
        x, weight = args[0], module.weight
        if isinstance(module, nn.Linear):
            total += float((x != 0).sum()) * weight.shape[0]
            return
        # Every product is a one where the value is not zero: ones for weights count them.
        fired = (x if x.dim() == weight.dim() else x.flatten(0, 1)) != 0
        conv = {3: nn.functional.conv1d, 4: nn.functional.conv2d}[weight.dim()]
        ones = torch.ones_like(weight, dtype=torch.float64)
        geometry = module.stride, module.padding, module.dilation, module.groups
        total += float(conv(fired.double(), ones, None, *geometry).sum())

    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d)
    handles = [m.register_forward_hook(hear) for m in network.modules() if isinstance(m, kinds)]
    network(inputs)
    for handle in handles:
        handle.remove()
    return {"weighted": total}


def by_spikingjelly(network: nn.Module, inputs: Tensor) -> dict[str, float]:
    from spikingjelly.activation_based.op_counter import (
        DispatchCounterMode,
        MACCounter,
        SynOpCounter,
    )

    macs, synops = MACCounter(), SynOpCounter()
    with DispatchCounterMode([macs, synops]):
        network(inputs)
    return {"macs": float(macs.get_total()), "acs": float(synops.get_total())}


def by_neurobench(network: nn.Module, inputs: Tensor) -> dict[str, float]:
    from neurobench.metrics.workload import SynapticOperations
    from neurobench.models import TorchModel

    model = TorchModel(network)
    model.register_hooks()
    model(inputs)
    found = SynapticOperations()(model, None, (inputs, None))
    model.cleanup_hooks()
    rows = len(inputs)  # it divides by the first axis, whatever that is
    macs, acs = found["Effective_MACs"] * rows, found["Effective_ACs"] * rows
    return {"effective macs": macs, "acs": acs, "dense": found["Dense"] * rows}


COUNTERS = {
    "ours": by_us,
    "loop": by_loop,
    "SpikingJelly": by_spikingjelly,
    "NeuroBench": by_neurobench,
}


@torch.no_grad()
def work(counter: str) -> None:
    """Count all networks in this environment; print JSON, with the reasons of what cannot be."""
    warnings.simplefilter("ignore")
    sys.path += os.environ.get("COUNTED_PACKAGES", "").split(os.pathsep)
    found: dict[str, dict[str, float] | str] = {}
    for name in NETWORKS:
        try:
            found[name] = COUNTERS[counter](*make(name))
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
    print("\n" + json.dumps(found))


def packages_of(environment: str) -> list[str]:
    return sorted(map(str, (REPOSITORY / ".bench" / environment).glob("lib/python*/site-packages")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", choices=COUNTERS)
    chosen = parser.parse_args().worker
    if chosen is not None:
        work(chosen)
        return
    packages = [path for name in ENVIRONMENTS for path in packages_of(name)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    environment["COUNTED_PACKAGES"] = os.pathsep.join(packages)
    results = {}
    for counter in COUNTERS:
        command = [sys.executable, __file__, "--worker", counter]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        results[counter] = json.loads(done.stdout.splitlines()[-1])
    RESULT.write_text(json.dumps(results, indent=2) + "\n")
    print("\n".join(table(results)))


def table(results: dict) -> list[str]:
    lines = [
        "| network | counter | MACs | effective MACs | ACs | dense | linear and convolutional |",
        "|---|---|---|---|---|---|---|",
    ]
    columns = ("macs", "effective macs", "acs", "dense", "weighted")
    for name in NETWORKS:
        for counter, found in results.items():
            row = found[name] if isinstance(found[name], dict) else {}
            cells = [f"{row[key]:,.0f}" if key in row else "" for key in columns]
            lines.append(f"| {name} | {counter} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
