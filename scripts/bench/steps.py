"""Steps that contenders share: forward and backward, or forward alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bench.registry import Case, Tensors, Work


def work(
    case: Case, forward: Callable[..., Tensor], inputs: Tensors, *, axes: Sequence[int] = ()
) -> Work:
    """Call `forward` with the inputs by name; for training, go back from the input "upstream".

    The outputs are "output" and, for training, "grad_<name>" of every floating-point input.

    Args:
        case: The case; `case.train` decides.
        forward: The work, from tensors to one tensor.
        inputs: Tensors by argument name, and "upstream", the gradient of the output.
        axes: The contender's order of axes. Tensors with as many are permuted, in memory too,
            going in and put back coming out, both outside the time measured.
    """
    tensors = {name: _permuted(tensor, axes).contiguous() for name, tensor in inputs.items()}
    upstream = tensors.pop("upstream", None)
    if case.train:
        for tensor in tensors.values():
            tensor.requires_grad_(tensor.is_floating_point())

    def train() -> Tensors:
        output = forward(**tensors)
        output.backward(upstream)
        results = {"output": output.detach()}
        for name, tensor in tensors.items():
            if tensor.requires_grad:
                results[f"grad_{name}"], tensor.grad = tensor.grad, None
        return results

    def infer() -> Tensors:
        with torch.no_grad():
            return {"output": forward(**tensors)}

    back = [list(axes).index(axis) for axis in range(len(axes))]

    def outputs(result: Tensors) -> Tensors:
        return {name: _permuted(tensor, back) for name, tensor in result.items()}

    return Work(train if case.train else infer, outputs)


def random_spikes(shape: Sequence[int], rate: float, generator: torch.Generator) -> Tensor:
    """Return spikes 0 or 1 that fire at `rate`."""
    return (torch.rand(shape, generator=generator) < rate).float()


def _permuted(tensor: Tensor, axes: Sequence[int]) -> Tensor:
    return tensor.permute(*axes) if len(axes) == tensor.dim() else tensor
