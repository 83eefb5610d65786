"""Continues texts with a spiking language model, token by token."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from spikeformer.error_handling import (
    ArgumentError,
    SpikingDynamicsError,
    check_interval,
    check_positive_int,
)
from spikeformer.models.heads import CausalLMHead
from spikeformer.models.memory import TokenMemory
from spikeformer.models.network import SpikingNetwork
from spikeformer.models.spiking_transformer import SpikingTransformer


@torch.no_grad()
def generate(
    network: SpikingNetwork,
    input_ids: Tensor,
    max_new_tokens: int = 50,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    end: int | None = None,
    generator: torch.Generator | None = None,
) -> Iterator[Tensor]:
    """Yield the tokens that continue some prompts, (batch,) int64 each.

    The prompts pass through the network once, each new token by itself; what it needs of the
    tokens before lies in a `TokenMemory`, so that its cost does not grow with the text.

    Args:
        network: A causal language model: a `SpikingTransformer` and a `CausalLMHead`.
        input_ids: Prompts of one length, (batch, tokens).
        max_new_tokens: How many tokens to generate.
        temperature: Divides the logits, which are averaged over timesteps; 0 takes the likeliest.
        top_k: Draw from so many likeliest tokens; None draws from all.
        end: Stop when every text has come to this token; None never stops early.
        generator: Source of the draws.

    Raises:
        ArgumentError: A value lies outside its range, or the network is no causal language model.
        SpikingDynamicsError: The prompts do not fit it, or leave no room for so many tokens.

    Example:
        >>> backbone = SpikingTransformer(50, d_model=16, nhead=2, num_layers=1, causal=True)
        >>> net = SpikingNetwork(backbone, CausalLMHead(16, 50)).eval()
        >>> len([token for token in generate(net, torch.tensor([[3, 1]]), 4)])
        4
    """
    backbone = _check(network)
    check_positive_int("max_new_tokens", max_new_tokens)
    check_interval("temperature", temperature, 0.0, math.inf)
    if top_k is not None:
        check_positive_int("top_k", top_k)
    room = backbone.max_length - input_ids.shape[1]
    if input_ids.ndim != 2 or not input_ids.numel() or max_new_tokens > room + 1:
        raise SpikingDynamicsError(
            f"Expected prompts (batch, tokens) and with {max_new_tokens} new tokens no more than"
            f" max_length={backbone.max_length}, but got {tuple(input_ids.shape)}. Shorten them, or"
            " ask for fewer tokens."
        )
    training = network.training
    network.eval()
    try:
        yield from _tokens(network, input_ids, max_new_tokens, end, (temperature, top_k, generator))
    finally:
        network.train(training)


def _tokens(
    network: SpikingNetwork,
    ids: Tensor,
    max_new_tokens: int,
    end: int | None,
    drawing: tuple[Any, ...],
) -> Iterator[Tensor]:
    memory = TokenMemory()
    done = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    for _ in range(max_new_tokens):
        logits = network(ids, memory=memory)[:, :, -1].mean(dim=1)
        token = _draw(logits, *drawing)
        yield token
        if end is not None:
            done |= token == end
            if bool(done.all()):
                return
        ids = token.unsqueeze(1)


def _draw(
    logits: Tensor, temperature: float, top_k: int | None, generator: torch.Generator | None
) -> Tensor:
    if temperature == 0.0:
        return logits.argmax(dim=-1)
    if top_k is not None and top_k < logits.shape[-1]:
        least = logits.topk(top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    probabilities = (logits / temperature).softmax(dim=-1)
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0]


def _check(network: SpikingNetwork) -> SpikingTransformer:
    head, backbone = getattr(network, "head", None), getattr(network, "backbone", None)
    if not isinstance(head, CausalLMHead) or not isinstance(backbone, SpikingTransformer):
        names = f"{type(backbone).__name__} with {type(head).__name__}"
        expected = "a SpikingTransformer with causal=True and a CausalLMHead"
        raise ArgumentError("network", names, expected)
    return backbone
