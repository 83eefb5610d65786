"""Generates text with a converted network: `transformers` decides, spikes compute."""

from __future__ import annotations

import copy
import functools
from typing import Any

from torch import Tensor, nn

from spikeformer.error_handling import ConversionError


def generate(converted: nn.Module, original: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """Continue prompts, as `original.generate` would, with every pass through the converted one.

    Args:
        converted: The converted network.
        original: Its original, of `transformers`.
        *args: Arguments of `transformers.GenerationMixin.generate`; the first are token ids,
            (batch, tokens).
        **kwargs: Likewise: `max_new_tokens`, `do_sample`, `num_beams`, `streamer`, ...

    Raises:
        ConversionError: The original cannot generate, or the prompts do not fit it.
    """
    check_prompts(original, args[0] if args else kwargs.get("input_ids", kwargs.get("inputs")))
    view = spiking_view(converted, original)
    _check_end(view, args, kwargs)
    return view.generate(*args, **kwargs)


def check_prompts(original: nn.Module, ids: Any) -> None:
    """Refuse what is no prompt for a network.

    Raises:
        ConversionError: The network does not generate, or it has no such token.
    """
    name = type(original).__name__
    if not generates(original):
        raise ConversionError(
            f"A {name} does not generate. Convert a causal language model of transformers, such "
            "as AutoModelForCausalLM.from_pretrained(folder)."
        )
    if original.config.is_encoder_decoder:  # type: ignore[union-attr]
        raise ConversionError(
            f"generate of a {name} would run its encoder by itself, for which there is no spiking "
            "form yet. Call the converted network with input_ids and decoder_input_ids."
        )
    if isinstance(ids, Tensor) and ids.numel():
        rows = original.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= rows:
            raise ConversionError(
                f"Expected token ids of 0 to {rows - 1}, but the prompts hold "
                f"{low if low < 0 else high}. Use the tokenizer that {name} was trained with."
            )


def generates(network: Any) -> bool:
    """Whether a network is a language model of `transformers` that continues texts."""
    return hasattr(network, "can_generate") and bool(network.can_generate())


def limit(config: Any) -> int | None:
    """Return how many tokens a text may have, by a model's configuration; None is no limit."""
    found = getattr(config, "max_position_embeddings", None)
    return found if isinstance(found, int) and found > 0 else None


def _check_end(view: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    longest = limit(view.config)
    ids = args[0] if args else kwargs.get("input_ids", kwargs.get("inputs"))
    if longest is None or not isinstance(ids, Tensor):
        return
    config = kwargs.get("generation_config") or view.generation_config
    new = kwargs.get("max_new_tokens", getattr(config, "max_new_tokens", None))
    if ids.shape[1] + (new or 1) > longest:
        asked = "" if new is None else f" and {new} new ones"
        raise ConversionError(
            f"Expected at most {longest} tokens, the positions that {type(view).__name__} knows, "
            f"but got {ids.shape[1]} of the prompt{asked}. Shorten the prompt or ask for fewer."
        )


def spiking_view(converted: nn.Module, original: nn.Module) -> Any:
    """Return the original with its pass replaced by that of the converted network."""
    kind = type(original)

    @functools.wraps(kind.forward)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        return converted(*args, **kwargs)

    view = copy.copy(original)
    view.__class__ = type(kind.__name__, (kind,), {"forward": forward})
    return view
