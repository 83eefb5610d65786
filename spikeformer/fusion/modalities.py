"""Which modalities a batch has, sample by sample: checks, masks and dropout.

A mask of a modality is bool of shape (batch,), True at the samples that have it; None stands for
all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError, check_positive_int

Masks = dict[str, Tensor | None]


def check_dims(modality_dims: Mapping[str, int]) -> dict[str, int]:
    """Return the channels of each modality, or raise `ArgumentError`."""
    if not isinstance(modality_dims, Mapping) or not modality_dims:
        raise ArgumentError(
            "modality_dims",
            modality_dims,
            "a dict from the name of each modality to its channels, with at least one",
        )
    return {
        name: check_positive_int(f"modality_dims[{name!r}]", dim)
        for name, dim in modality_dims.items()
    }


def check_inputs(
    inputs: Mapping[str, Tensor | None], dims: Mapping[str, int], timesteps: int
) -> dict[str, Tensor]:
    """Return the inputs that are there, each (batch, timesteps, tokens, dim), in `dims`' order.

    Args:
        inputs: By modality (batch, timesteps, tokens, dim) or (batch, timesteps, dim); None where
            a modality is missing.
        dims: Channels of each modality.
        timesteps: Timesteps that every input must have.

    Raises:
        ArgumentError: There is no input, or one of an unknown modality.
        SpikingDynamicsError: A shape is wrong, or two inputs differ in their samples.
    """
    check_names("modality_inputs", inputs, dims)
    present = {name: inputs[name] for name in dims if inputs.get(name) is not None}
    if not present:
        raise ArgumentError(
            "modality_inputs",
            dict.fromkeys(inputs),
            f"a dict with the spikes of at least one modality of {_listed(dims)}",
        )
    checked = {name: _tokens(name, x, dims[name], timesteps) for name, x in present.items()}
    batches = {name: x.shape[0] for name, x in checked.items()}
    if len(set(batches.values())) > 1:
        raise SpikingDynamicsError(
            "Expected the same samples in every modality, but got batches of "
            f"{', '.join(f'{name}: {count}' for name, count in batches.items())}. "
            "Where samples lack a modality, fill in anything and say so in "
            "modality_mask."
        )
    return checked


def check_names(argument: str, given: Any, dims: Mapping[str, int]) -> None:
    """Raise `ArgumentError` unless `given` is a dict whose keys are known modalities."""
    if not isinstance(given, Mapping):
        expected = f"a dict by modality, {_listed(dims)}"
        raise ArgumentError(argument, type(given).__name__, expected)
    unknown = [name for name in given if name not in dims]
    if unknown:
        expected = f"a dict whose keys are among {_listed(dims)}"
        raise ArgumentError(
            argument,
            unknown,
            expected,
            "Name every modality in modality_dims when you build the model.",
        )


def _tokens(name: str, x: Tensor | None, dim: int, timesteps: int) -> Tensor:
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise SpikingDynamicsError(
            f"Expected the spikes of {name!r} as a floating-point tensor, but got "
            f"{kind}. Encode the input first, as the encoders of "
            "spikeformer.multimodal do."
        )
    if x.ndim not in (3, 4) or x.shape[1] != timesteps or x.shape[-1] != dim:
        raise SpikingDynamicsError(
            f"Expected spikes of {name!r} of shape (batch, timesteps={timesteps}, "
            f"tokens, dim={dim}) or (batch, timesteps={timesteps}, dim={dim}), but "
            f"got {tuple(x.shape)}."
        )
    if not x.numel():
        raise SpikingDynamicsError(
            f"Expected at least one sample and one token of {name!r}, but got shape "
            f"{tuple(x.shape)}."
        )
    return x if x.ndim == 4 else x.unsqueeze(2)


def _listed(dims: Mapping[str, int]) -> str:
    return ", ".join(map(repr, dims))


def select_present(
    inputs: dict[str, Tensor], modality_mask: Mapping[str, Tensor] | None, dims: Mapping[str, int]
) -> tuple[dict[str, Tensor], Masks]:
    """Silence the samples that lack a modality and leave out modalities that no sample has.

    Args:
        inputs: As `check_inputs` returns them.
        modality_mask: Masks of some of the modalities; the others are there in every sample.
        dims: Channels of each modality.

    Returns:
        The inputs, zero wherever a sample lacks the modality, and the mask of each.

    Raises:
        ArgumentError: A mask belongs to no modality.
        SpikingDynamicsError: A mask has another shape or dtype, or a sample has no modality.
    """
    masks: Masks = dict.fromkeys(inputs)
    if modality_mask is None or (isinstance(modality_mask, Mapping) and not modality_mask):
        return inputs, masks
    check_names("modality_mask", modality_mask, dims)
    batch = next(iter(inputs.values())).shape[0]
    for name, mask in modality_mask.items():
        if not isinstance(mask, Tensor):
            raise SpikingDynamicsError(
                f"Expected modality_mask[{name!r}] to be a bool tensor of shape (batch,), "
                f"but got {type(mask).__name__}."
            )
        if mask.shape != (batch,) or mask.dtype != torch.bool:
            raise SpikingDynamicsError(
                f"Expected modality_mask[{name!r}] to be bool of shape (batch,) = "
                f"({batch},), but got {mask.dtype} of shape {tuple(mask.shape)}."
            )
        # A mask of True alone is none, and a modality that no sample has is not there.
        if name in inputs and not bool(mask.all()):
            masks[name] = mask
            if not bool(mask.any()):
                del inputs[name], masks[name]
    if not inputs or not bool(_any_present(masks, batch).all()):
        raise SpikingDynamicsError(
            "modality_mask leaves samples without any modality; every sample needs at least one."
        )
    return {name: silence(x, masks[name]) for name, x in inputs.items()}, masks


def _any_present(masks: Masks, batch: int) -> Tensor:
    found = any_mask(list(masks.values()))
    return torch.ones(batch, dtype=torch.bool) if found is None else found


def any_mask(masks: list[Tensor | None]) -> Tensor | None:
    """Return where at least one of several masks is True; None if everywhere."""
    given = [mask for mask in masks if mask is not None]
    return None if len(given) < len(masks) else torch.stack(given).any(dim=0)


def silence(x: Tensor, mask: Tensor | None) -> Tensor:
    """Return `x`, (batch, ...), with zeros for the samples at which `mask` is False.

    It fills, and does not multiply: what a sample without the modality holds may be NaN.
    """
    return x if mask is None else x.masked_fill(~mask.view(-1, *[1] * (x.ndim - 1)), 0.0)


def over_tokens(mask: Tensor | None, tokens: int) -> Tensor | None:
    """Return the mask of a modality for its tokens, (batch, tokens)."""
    return None if mask is None else mask[:, None].expand(-1, tokens)


def token_mask(inputs: Mapping[str, Tensor], masks: Masks) -> Tensor | None:
    """Return the mask of all modalities' tokens in a row, (batch, tokens); None if all are there.

    Args:
        inputs: Shape (batch, timesteps, tokens, dim) each.
        masks: The mask of each.
    """
    if all(mask is None for mask in masks.values()):
        return None
    parts = []
    for name, x in inputs.items():
        mask = masks[name]
        present = x.new_ones(x.shape[0], dtype=torch.bool) if mask is None else mask
        parts.append(present[:, None].expand(-1, x.shape[2]))
    return torch.cat(parts, dim=1)


def drop_modalities(
    present: Tensor, probability: float, generator: torch.Generator | None = None
) -> Tensor:
    """Drop each modality of each sample with a probability, but never a sample's last one.

    Where all of a sample's modalities are drawn, one of them, each as likely, stays.

    Args:
        present: True where a sample has a modality, shape (batch, modalities).
        probability: In [0, 1].
        generator: Randomness of the device of `present`; None takes torch's own.

    Returns:
        True where a modality stays, shape (batch, modalities).

    Source: Neverova et al., *ModDrop*, 2016, doi:10.1109/TPAMI.2015.2461544.

    Example:
        >>> drop_modalities(torch.tensor([[True, True], [False, True]]), 1.0).sum(1).tolist()
        [1, 1]
    """
    draw = torch.rand(present.shape, generator=generator, device=present.device)
    kept = present & (draw >= probability)
    # Given that all are drawn, the order of the draws is as random as another draw.
    last = torch.where(present, draw, -1.0).argmax(dim=1, keepdim=True)
    rescued = torch.zeros_like(kept).scatter_(1, last, value=True)
    return torch.where(kept.any(dim=1, keepdim=True), kept, rescued & present)
