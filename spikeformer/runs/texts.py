"""A run's language model, which goes on with texts."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from spikeformer.conversion import SpikingModel
from spikeformer.data.tokenizer import Encoder, encoder_from, pretrained_encoder
from spikeformer.error_handling import ConfigurationError, check_interval, check_positive_int
from spikeformer.i18n import t
from spikeformer.models import CausalLMHead, SpikingNetwork
from spikeformer.models import generate as continuation
from spikeformer.runs.layout import RunFolder
from spikeformer.runs.loading import LoadedRun


def is_language_model(network: nn.Module) -> bool:
    """Tell whether a network continues texts: a converted language model, or one of our own."""
    if isinstance(network, SpikingModel):
        return network.generates
    return isinstance(network, SpikingNetwork) and isinstance(network.head, CausalLMHead)


class TextGenerator:
    """Continues texts with the language model that a run trained or converted.

    Args:
        run: The run.

    Attributes:
        name: What the run is called.
        encoder: The model's tokenizer.

    Raises:
        ConfigurationError: The run has no language model, or its tokenizer is not there.

    Example:
        >>> from spikeformer import load_run
        >>> generator = TextGenerator(load_run("outputs/RUN"))           # doctest: +SKIP
        >>> generator.generate("Once upon a time", print, tokens=20)     # doctest: +SKIP
    """

    def __init__(self, run: LoadedRun) -> None:
        self.run, self.name = run, run.results.name
        self.encoder = _encoder(run)

    def generate(
        self,
        prompt: str,
        put: Callable[[str], None],
        *,
        tokens: int = 50,
        temperature: float = 0.0,
        top_k: int | None = None,
        timesteps: int | None = None,
        seed: int = 0,
    ) -> None:
        """Hand out what follows a prompt, in pieces of whole characters as they come.

        Args:
            prompt: The text to go on with.
            put: Gets each piece; an error that it raises ends the text.
            tokens: Most new tokens.
            temperature: Divides the logits; 0 takes the likeliest token.
            top_k: Draw from so many likeliest tokens; None draws from all.
            timesteps: Timesteps of a converted model; None leaves them.
            seed: Seed of the draws.

        Raises:
            ArgumentError: A value lies outside its range.
            ConfigurationError: The prompt has no tokens, or a trained network is asked for other
                timesteps.
            ConversionError: A converted model cannot take the prompt.
            SpikingDynamicsError: A trained one has no room for so many tokens.
        """
        check_positive_int("tokens", tokens)
        check_interval("temperature", temperature, 0.0, math.inf)
        for name, value in (("top_k", top_k), ("timesteps", timesteps)):
            if value is not None:
                check_positive_int(name, value)
        ids, characters = self._prompt(prompt), _Characters(self.encoder, put)
        if isinstance(network := self.run.network, SpikingModel):
            before, network.timesteps = network.timesteps, timesteps or network.timesteps
            torch.manual_seed(seed)
            try:
                self._converted(network, ids, characters, tokens, temperature, top_k)
            finally:
                network.timesteps = before
            return
        if timesteps is not None:
            raise ConfigurationError(t("cli.generate_own_timesteps"))
        assert isinstance(network, SpikingNetwork)
        for token in continuation(
            network,
            ids,
            tokens,
            temperature=temperature,
            top_k=top_k,
            end=self.encoder.eos_id,
            generator=torch.Generator().manual_seed(seed),
        ):
            characters.put(token)

    def _converted(
        self,
        network: SpikingModel,
        ids: Tensor,
        characters: _Characters,
        tokens: int,
        temperature: float,
        top_k: int | None,
    ) -> None:
        network.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=tokens,
            pad_token_id=self.encoder.pad_id,
            streamer=characters,
            do_sample=temperature > 0,
            **({"temperature": temperature, "top_k": top_k} if temperature > 0 else {}),
        )

    def _prompt(self, prompt: str) -> Tensor:
        (ids,) = self.encoder.encode([prompt])
        packed = self.run.config.data.get("packing", False)
        if self.encoder.trained and not packed and self.encoder.bos_id is not None:
            ids = [self.encoder.bos_id, *ids]
        if not ids:
            raise ConfigurationError(t("cli.empty_prompt"))
        return torch.tensor([ids])


class _Characters:
    """Hands on tokens as soon as they are whole characters: a streamer of `transformers`."""

    def __init__(self, encoder: Encoder, put: Callable[[str], None]) -> None:
        self._encoder, self._put = encoder, put
        self._ids: list[int] = []
        self._shown = ""

    def put(self, value: Tensor) -> None:
        """Take one more token, shape (1,); a prompt, shape (1, tokens), is known already."""
        if value.ndim > 1:
            return
        self._ids += value.tolist()
        text = self._encoder.tokenizer.decode(self._ids, skip_special_tokens=True)
        # A character of several bytes may have come in parts.
        text = text.rstrip("\N{REPLACEMENT CHARACTER}")
        self._put(text[len(self._shown) :])
        self._shown = text

    def end(self) -> None:
        """Do nothing: `transformers` says that the text is over."""


def _encoder(run: LoadedRun) -> Encoder:
    """Return the tokenizer of a run's language model."""
    if not is_language_model(run.network):
        raise ConfigurationError(
            t("cli.no_language_model", folder=run.folder, network=type(run.network).__name__)
        )
    if isinstance(run.network, SpikingModel):
        return pretrained_encoder(str(RunFolder(run.folder).converted))
    given = run.results.data
    if given is not None and given.tokenizer is not None:
        return encoder_from(given.tokenizer)
    name = run.config.data.get("tokenizer")
    if not name:
        raise ConfigurationError(t("cli.no_tokenizer", folder=run.folder))
    return pretrained_encoder(str(name))
