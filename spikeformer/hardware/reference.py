"""The network's own spikes in PyTorch, in the form in which targets record theirs."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikeformer.encoding import DeltaCoding, SpikeEncoder
from spikeformer.hardware.ir.graph import Array
from spikeformer.instrument import ModuleWatch, copy_network, spikes_of, uncompiled
from spikeformer.neurons import IntegerLifNeuron, SpikingNeuron

BATCH = 64
"""Samples that go through the network at once."""


@dataclass(frozen=True)
class Reference:
    """What a network computed.

    Attributes:
        inputs: Arrays of the graph's sources, made from the samples.
        spikes: Spikes of every neuron layer, uint8 (samples, timesteps, size), by module path; of
            integer neurons their number.
        outputs: Outputs averaged over time, (samples, ...).
    """

    inputs: dict[str, Array]
    spikes: dict[str, Array]
    outputs: Array


def record_reference(
    model: nn.Module, samples: Tensor, *, dtype: torch.dtype = torch.float64
) -> Reference:
    """Run a network and record all its spikes.

    In float64 the order of sums does not matter to a spike, except where sums are integers
    and exact; in float32 about one in a million currents lies so near the threshold that it does.

    Args:
        model: The network; it is not changed.
        samples: Inputs, (samples, ...).
        dtype: Precision in which the network runs.
    """
    net = uncompiled(copy_network(model)).cpu().to(dtype).eval()
    found: dict[str, list[Array]] = defaultdict(list)
    inputs: dict[str, list[Array]] = defaultdict(list)
    calls: Counter[str] = Counter()
    for _, module in net.named_modules():
        if dtype == torch.float64 and hasattr(module, "backend"):
            module.backend = "reference"  # the definition in plain torch; kernels are for float32

    def observe(path: str, module: Any, args: Any, kwargs: Any, output: Any) -> None:
        spikes = spikes_of(output)
        if isinstance(module, SpikeEncoder):
            if not module.constant:
                for name, train in split_signs(module, spikes).items():
                    inputs[name].append(train)
            return
        calls[path] += 1
        name = path if calls[path] == 1 else f"{path}_{calls[path]}"
        counts = spikes * module.max_spikes if isinstance(module, IntegerLifNeuron) else spikes
        found[name].append(counts.round().flatten(2).numpy().astype(np.uint8))

    outputs = []
    with torch.no_grad(), ModuleWatch(net, observe, (SpikingNeuron, SpikeEncoder)):
        for batch in torch.split(samples, BATCH):
            calls.clear()
            outputs.append(net(batch.to(dtype)).mean(dim=1).numpy())
    encoded = {name: np.concatenate(parts) for name, parts in inputs.items()}
    values = {"input": samples.to(dtype).flatten(1).numpy()}
    spikes = {name: np.concatenate(parts) for name, parts in found.items()}
    return Reference(encoded or values, spikes, np.concatenate(outputs))


def split_signs(encoder: SpikeEncoder, spikes: Tensor) -> dict[str, Array]:
    """Return the sources' spike trains (samples, timesteps, size) of what an encoder gave."""
    flat = spikes.flatten(2).numpy()
    if isinstance(encoder, DeltaCoding):
        parts = {"input.up": flat > 0, "input.down": flat < 0}
        return {name: part.astype(np.uint8) for name, part in parts.items()}
    return {"input": flat.astype(np.uint8)}
