"""Weights as safetensors: looked at before memory is taken, complete or refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from spikeformer.error_handling import ConfigurationError
from spikeformer.files import replacing

Layout = Mapping[str, tuple[list[int], torch.dtype | None]]
"""Shape of each tensor of a file, and its type if that is a floating-point one."""

_SHOWN = 6


def save_weights(net: nn.Module, path: Path) -> None:
    """Write a network's parameters and buffers in one step; tied ones are written once."""
    with replacing(path) as temporary:
        safetensors.torch.save_model(net, str(temporary))


def put_file(net: nn.Module, path: Path) -> None:
    """Give a network the weights of a file, in the precision that they were saved in.

    Raises:
        ConfigurationError: They are not exactly its own; nothing is loaded then.
    """
    layout = read_layout(path)
    check_layout(net, layout, path)
    take_precision(net, layout)
    safetensors.torch.load_model(net, str(path))


def check_layout(net: nn.Module, layout: Layout, path: Path) -> None:
    """Refuse the weights of another network, before memory is taken.

    Args:
        net: The network; it may lie on the device "meta".
        layout: What `read_layout` found.
        path: Where, for the message.

    Raises:
        ConfigurationError: Keys are absent, too many, or of another shape; the message names them.
    """
    names: dict[int, list[str]] = {}
    tensors: dict[str, Tensor] = net.state_dict(keep_vars=True)
    for name, tensor in tensors.items():
        names.setdefault(id(tensor), []).append(name)
    absent = [tied[0] for tied in names.values() if not any(name in layout for name in tied)]
    unknown = [name for name in layout if name not in tensors]
    shapes = [
        f"{name} {shape} for {list(tensors[name].shape)}"
        for name, (shape, _) in layout.items()
        if name in tensors and shape != list(tensors[name].shape)
    ]
    refuse_keys(path, absent, unknown, shapes)


def refuse_keys(
    source: object, absent: Iterable[str], unknown: Iterable[str], shapes: Iterable[str]
) -> None:
    """Raise `ConfigurationError` that names keys, if there are any."""
    found = {"absent": absent, "unknown": unknown, "of another shape": shapes}
    parts = [f"{what}: {some(names)}" for what, listed in found.items() if (names := list(listed))]
    if parts:
        raise ConfigurationError(
            f"{source}: these are the weights of another network. {'; '.join(parts)}. Nothing was"
            " loaded; use the weights of this network, or build the one that they belong to."
        )


def some(names: list[str]) -> str:
    """Return a few names of a list, and how many there are."""
    more = f", ... ({len(names)} in all)" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def read_layout(path: Path) -> Layout:
    """Return shape and type of every tensor in a file without reading one."""
    floats = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32}
    floats["F64"] = torch.float64
    with safetensors.safe_open(str(path), framework="pt") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        return {name: (s.get_shape(), floats.get(s.get_dtype())) for name, s in slices.items()}


def take_precision(net: nn.Module, layout: Layout) -> None:
    """Give a network's floating-point tensors the precision that they were saved in."""
    for tensors in (net.named_parameters, net.named_buffers):
        for name, tensor in tensors(remove_duplicate=False):
            _, dtype = layout.get(name, (None, None))
            if dtype is not None and tensor.is_floating_point():
                tensor.data = tensor.data.to(dtype)
