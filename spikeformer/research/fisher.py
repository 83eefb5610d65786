"""How much each parameter of a network matters to what it has learned."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm  # type: ignore[import-untyped]

from spikeformer.data.batch import call, select, split, to_device
from spikeformer.error_handling import ArgumentError, DataError, check_positive_int
from spikeformer.i18n import t

Criterion = Callable[[Any, Any], Tensor]


def empirical_fisher(
    model: nn.Module,
    dataloader: Iterable[Any],
    criterion: Criterion,
    max_samples: int | None = None,
    *,
    progress: bool = False,
) -> Tensor:
    r"""Return the diagonal of the empirical Fisher information, exactly, sample by sample.

    `F = 1/N sum_i (d criterion(model(x_i), y_i) / d theta)^2`

    The square of a batch's mean gradient is something else, so each sample goes backward alone;
    the network is in evaluation mode meanwhile. (The spike ops have kernels of their own, for
    which `torch.func.vmap` knows no batching rule.)

    Args:
        model: Maps inputs, a tensor or a mapping of keyword arguments, to outputs.
        dataloader: Yields batches, `(inputs, target)` or dicts with an entry "labels".
        criterion: `criterion(outputs, target)`, one number; the negative log-likelihood of the
            targets makes it the Fisher information.
        max_samples: Samples to take, from the first on; None takes all.
        progress: Show a progress bar.

    Returns:
        One number of at least 0 for each trainable parameter, in the order of `flatten`.

    Raises:
        DataError: The loader has no samples.
        ArgumentError: A batch has no target, or the criterion gives no single number, or one that
            depends on no parameter.
    """
    if max_samples is not None:
        check_positive_int("max_samples", max_samples)
    parameters = trainable(model)
    total = torch.zeros(num_trainable(model), device=parameters[0].device)
    places = torch.split(total, [parameter.numel() for parameter in parameters])
    modes = {module: module.training for module in model.modules()}
    count = 0
    bar = tqdm(total=max_samples, desc="importance", disable=not progress, leave=False)
    try:
        model.eval()
        for batch in dataloader:
            inputs, target = split(batch)
            for index in range(len(target)):
                if count == max_samples:
                    break
                one = to_device(select((inputs, target), slice(index, index + 1)), total.device)
                gradients = _gradients(model, parameters, criterion, *one)
                for place, gradient in zip(places, gradients, strict=True):
                    if gradient is not None:
                        flat = gradient.reshape(-1).float()
                        place.addcmul_(flat, flat)
                count += 1
                bar.update()
            if count == max_samples:
                break
    finally:
        bar.close()
        for module, training in modes.items():
            module.training = training
    if not count:
        raise DataError(t("research.no_samples"))
    return total / count


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that are trained; raises `ArgumentError` if there are none."""
    found = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not found:
        raise ArgumentError("model", type(model).__name__, "a network with parameters to train")
    return found


def num_trainable(model: nn.Module) -> int:
    """Return how many numbers are trained."""
    return sum(parameter.numel() for parameter in trainable(model))


def flatten(model: nn.Module) -> Tensor:
    """Return all trainable parameters as one float vector that leads back to them."""
    return torch.cat([parameter.reshape(-1).float() for parameter in trainable(model)])


def _gradients(
    model: nn.Module, parameters: list[nn.Parameter], criterion: Criterion, inputs: Any, target: Any
) -> tuple[Tensor | None, ...]:
    with torch.enable_grad():
        outputs = call(model, inputs)
        loss = criterion(outputs, target)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise ArgumentError("criterion", loss, "a function that returns one number")
        if not loss.requires_grad:
            raise ArgumentError(
                "criterion", loss, "a function of the outputs", "Its value leads to no parameter."
            )
        return torch.autograd.grad(loss.reshape(()), parameters, allow_unused=True)
