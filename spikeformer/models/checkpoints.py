"""Checkpoints of published models' authors, and of SpikingJelly, loaded by a map of their names."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikeformer.error_handling import ConfigurationError, check_choice
from spikeformer.models.checkpoint_names import RULES, renamed
from spikeformer.models.network import SpikingNetwork
from spikeformer.models.weights import refuse_keys
from spikeformer.neurons.integer_lif import is_integer

_WRAPPERS = ("state_dict", "model", "module", "net")
_PARTNERS = {"conv": "norm", "qkv": "qkv_norm", "out": "out_norm"}
_PARTNERS |= {"expand": "expand_norm", "contract": "contract_norm"}


def load_checkpoint_of(
    model: str, source: str | Path | Mapping[str, Tensor], network: SpikingNetwork
) -> SpikingNetwork:
    """Load the weights of a published model, as its authors or SpikingJelly 2.0 save them.

    Separate queries, keys and values become one matrix; kernels of one pixel become matrices; a
    bias in front of a batch norm, which takes it away again, goes into the norm's running mean. The
    head of "spike_driven_v3" takes counts of spikes there and fractions of D here, so its weights
    are multiplied by D. All keys are accounted for before anything is loaded.

    Args:
        model: "spikformer", "spike_driven_transformer", "spikingformer", "qkformer", "maxformer" or
            "spike_driven_v3".
        source: A file, read without pickled code, or its state dict.
        network: The network, of the same sizes, as `model=qkformer` builds it; changed in place.

    Returns:
        `network`.

    Raises:
        ConfigurationError: The file is no checkpoint, or not one of this network; the message names
            the keys. Nothing is loaded then.

    Example:
        >>> from spikeformer import compose, load_checkpoint_of                 # doctest: +SKIP
        >>> from spikeformer.pipeline import build_network                      # doctest: +SKIP
        >>> network = build_network(compose("model=qkformer", "data=cifar10"))  # doctest: +SKIP
        >>> load_checkpoint_of("qkformer", "checkpoint.pth.tar", network)       # doctest: +SKIP
    """
    check_choice("model", model, RULES)
    state = _read(Path(source)) if isinstance(source, str | Path) else dict(source)
    where = source if isinstance(source, str | Path) else f"the state dict of {model}"
    found, unknown = renamed(model, state)
    own: dict[str, Tensor] = network.state_dict()
    _fold_biases(found, own)
    counters = [name for name in own if name.endswith("num_batches_tracked")]
    for name in counters:
        found.setdefault(name, own[name])
    for name, tensor in found.items():
        if name in own and own[name].ndim == 2 and tensor.ndim in (3, 4):
            found[name] = tensor.flatten(1) if tensor[0, 0].numel() == 1 else tensor
    shapes = [
        f"{name} {list(tensor.shape)} for {list(own[name].shape)}"
        for name, tensor in found.items()
        if name in own and own[name].shape != tensor.shape
    ]
    absent = [name for name in own if name not in found]
    refuse_keys(where, absent, [*unknown, *(n for n in found if n not in own)], shapes)
    if model == "spike_driven_v3":
        found["head.readout.weight"] = found["head.readout.weight"] * _max_spikes(network)
    network.load_state_dict(found)
    return network


def _max_spikes(network: SpikingNetwork) -> int:
    """Return D of a network's integer neurons.

    Raises:
        ConfigurationError: It has none, or several D.
    """
    found = {m.max_spikes for m in network.modules() if is_integer(m)}
    if len(found) != 1:
        raise ConfigurationError(
            "Weights of spike_driven_v3 need integer neurons, all with one max_spikes, but got"
            f" {sorted(found) or 'none'}; build the network with neuron=ilif."
        )
    return found.pop()


def _fold_biases(found: dict[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Move biases in front of batch norms into their running means."""
    for name in [name for name in found if name.endswith(".bias") and name not in own]:
        path, _, layer = name.removesuffix(".bias").rpartition(".")
        mean = f"{path}.{_PARTNERS.get(layer, '')}.running_mean"
        if mean in found and found[mean].shape == found[name].shape:
            found[mean] = found[mean] - found.pop(name)


def _read(path: Path) -> dict[str, Tensor]:
    """Return the state dict of a file, whatever it is wrapped in."""
    try:
        # Training scripts keep their command line, which is plain values.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigurationError(f"{path} is no checkpoint that can be read: {reason}") from error
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content:
        raise ConfigurationError(f"{path} holds no state dict.")
    return {
        str(key).removeprefix("module."): torch.as_tensor(value)
        for key, value in content.items()
        if isinstance(value, Tensor)
    }
