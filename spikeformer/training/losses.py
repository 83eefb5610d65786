r"""Losses on outputs that have a time axis: `(batch, timesteps, classes)` and a target.

Each is a plain function `loss(outputs, target)`; further arguments are bound by configuration.
Class targets are integers (batch,), or probabilities (batch, classes) where images were mixed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from spikeformer.config import registered
from spikeformer.error_handling import ArgumentError, check_choice, check_interval

Loss = Callable[[Tensor, Tensor], Tensor]


def class_target(outputs: Tensor, target: Tensor) -> Tensor:
    """Return a target as the losses of classes want it.

    Integers of any width, and integral floats, become int64; a column becomes a row.
    Probabilities take the outputs' type.

    Args:
        outputs: Shape (batch, ..., classes).
        target: Classes (batch,) or (batch, 1), or probabilities (batch, classes).

    Returns:
        int64 (batch,), or float (batch, classes).

    Raises:
        ArgumentError: It is neither.

    Example:
        >>> class_target(torch.zeros(2, 4, 3), torch.tensor([[2.0], [0.0]]))
        tensor([2, 0])
    """
    batch, classes = outputs.shape[0], outputs.shape[-1]
    shape = tuple(target.shape)
    if shape == (batch, classes) and (classes > 1 or target.is_floating_point()):
        return target.to(outputs.dtype)
    if shape in ((batch,), (batch, 1)):
        row = target.reshape(batch)
        if not row.is_floating_point() or bool((row == row.round()).all()):
            return row.long()
    expected = f"classes ({batch},), or probabilities ({batch}, {classes})"
    raise ArgumentError("target", f"{target.dtype} of shape {shape}", expected)


def value_target(average: Tensor, target: Tensor) -> Tensor:
    """Return a target in the shape and type of the outputs' average over time.

    Args:
        average: Shape (batch, targets).
        target: Values (batch, targets), or (batch,) for one target.

    Raises:
        ArgumentError: It has another number of values.
    """
    if target.numel() != average.numel():
        expected = f"as many values as the network has outputs, {tuple(average.shape)}"
        remedy = "Classes are for task=classification."
        raise ArgumentError("target", f"shape {tuple(target.shape)}", expected, remedy)
    return target.reshape(average.shape).to(average.dtype)


def cross_entropy(outputs: Tensor, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of the outputs' average over time.

    Args:
        outputs: Logits, shape (batch, timesteps, classes).
        target: Classes (batch,) or probabilities (batch, classes).
        label_smoothing: Share of the target spread evenly over all classes, in [0, 1].
    """
    target = class_target(outputs, target)
    return F.cross_entropy(outputs.mean(dim=1), target, label_smoothing=label_smoothing)


def spike_count_loss(outputs: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of the outputs summed over time, so that counts act as logits.

    Args:
        outputs: Output spikes or their weighted sums, shape (batch, timesteps, classes).
        target: Classes (batch,) or probabilities (batch, classes).

    Source: `ce_count_loss` of Eshraghian et al., 2023, doi:10.1109/JPROC.2023.3308088.
    """
    return F.cross_entropy(outputs.sum(dim=1), class_target(outputs, target))


def tet(
    outputs: Tensor, target: Tensor, *, regularization: float = 0.05, level: float = 1.0
) -> Tensor:
    r"""Temporal efficient training: cross-entropy at every timestep, then averaged.

    `(1 - lambda) * mean_t CE(o[t], y) + lambda * mean_t MSE(o[t], level)`

    Args:
        outputs: Logits, shape (batch, timesteps, classes).
        target: Classes (batch,) or probabilities (batch, classes).
        regularization: lambda, in [0, 1].
        level: Value towards which outputs are regularised.

    Source: Deng et al., ICLR 2022, arXiv:2202.11946.
    """
    check_interval("regularization", regularization, 0.0, 1.0)
    steps = outputs.shape[1]
    repeated = class_target(outputs, target).repeat_interleave(steps, dim=0)
    entropy = F.cross_entropy(outputs.flatten(0, 1), repeated)
    return (1 - regularization) * entropy + regularization * (outputs - level).square().mean()


def mse_rate(
    outputs: Tensor, target: Tensor, *, on_rate: float = 1.0, off_rate: float = 0.0
) -> Tensor:
    """Squared error between each output's average over time and its target rate.

    Args:
        outputs: Output spikes or currents, shape (batch, timesteps, classes).
        target: Classes (batch,) or probabilities (batch, classes).
        on_rate: Rate that the right class should have.
        off_rate: Rate that the other classes should have.
    """
    rate, target = outputs.mean(dim=1), class_target(outputs, target)
    right = target if target.ndim == 2 else F.one_hot(target, rate.shape[1])
    return F.mse_loss(rate, off_rate + (on_rate - off_rate) * right.to(rate.dtype))


def binary_cross_entropy(outputs: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of the outputs' average over time, label by label.

    Args:
        outputs: Logits, shape (batch, timesteps, labels).
        target: 0 or 1 for each label, shape (batch, labels).
    """
    average = outputs.mean(dim=1)
    return F.binary_cross_entropy_with_logits(average, target.to(average.dtype))


def mse(outputs: Tensor, target: Tensor) -> Tensor:
    """Squared error of the outputs' average over time.

    Args:
        outputs: Values, shape (batch, timesteps, targets).
        target: Values, shape (batch, targets), or (batch,) for one target.
    """
    average = outputs.mean(dim=1)
    return F.mse_loss(average, value_target(average, target))


def next_token(outputs: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of the next token, from the outputs' average over time.

    Args:
        outputs: Logits, shape (batch, timesteps, tokens, vocabulary).
        target: The id that follows each token, shape (batch, tokens); -100 is ignored.
    """
    logits = outputs.mean(dim=1).flatten(0, 1)
    # The sum over at least one token: a batch of padding alone costs nothing instead of NaN.
    total = F.cross_entropy(logits, target.flatten(), ignore_index=-100, reduction="sum")
    return total / (target != -100).sum().clamp(min=1)


LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "spike_count_loss": spike_count_loss,
    "tet": tet,
    "mse_rate": mse_rate,
    "binary_cross_entropy": binary_cross_entropy,
    "mse": mse,
    "next_token": next_token,
}
"""Losses by the names that `SpikingTrainer` accepts."""

for _loss in LOSSES.values():
    registered(_loss)


def get_loss(name: str) -> Loss:
    """Return the loss called `name`; raises `ArgumentError` listing the names."""
    return LOSSES[check_choice("loss_fn", name, LOSSES)]


def predicted_class(outputs: Tensor) -> Tensor:
    """Return the class with the largest output averaged over time, shape (batch,)."""
    return torch.argmax(outputs.mean(dim=1), dim=-1)
