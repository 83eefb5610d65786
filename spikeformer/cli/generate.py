"""`spikeformer generate`: a run's language model goes on with a text."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from spikeformer.conversion import SpikingModel
from spikeformer.data.tokenizer import Encoder, encoder_from, pretrained_encoder
from spikeformer.error_handling import ConfigurationError
from spikeformer.i18n import t
from spikeformer.models import CausalLMHead, SpikingNetwork
from spikeformer.models import generate as continuation
from spikeformer.runs import LoadedRun, RunFolder, load_run


def generate(arguments: Sequence[str]) -> int:
    """Print a prompt and what a run's language model makes of it, as it comes; return 0.

    Args:
        arguments: What follows `generate` on the command line.

    Raises:
        ConfigurationError: The run has no language model, or its tokenizer is not there.
        ConversionError: A converted model cannot take the prompt.
    """
    options = make_parser().parse_args(arguments)
    run = load_run(options.run)
    encoder = _encoder(run)
    ids = _prompt(run, encoder, options.prompt)
    printer = Printer(encoder)
    print(options.prompt, end="", flush=True)
    if isinstance(run.model, SpikingModel):
        _of_a_converted(run.model, ids, encoder, printer, options)
    else:
        for token in _of_our_own(run.model, ids, encoder, options):
            printer.put(token)
    printer.end()
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of `spikeformer generate`."""
    parser = argparse.ArgumentParser(
        prog="spikeformer generate", description=t("cli.command_generate")
    )
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--prompt", required=True, help=t("cli.generate_prompt"))
    parser.add_argument("--tokens", type=int, default=50, help=t("cli.generate_tokens"))
    parser.add_argument(
        "--temperature", type=float, default=0.0, help=t("cli.generate_temperature")
    )
    parser.add_argument("--top-k", type=int, help=t("cli.generate_top_k"))
    parser.add_argument("--timesteps", type=int, help=t("cli.generate_timesteps"))
    parser.add_argument("--seed", type=int, default=0, help=t("cli.generate_seed"))
    return parser


class Printer:
    """Prints tokens as soon as they are whole characters.

    Args:
        encoder: Whose tokens they are.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._ids: list[int] = []
        self._shown = ""

    def put(self, value: Tensor) -> None:
        """Print one more token, shape (1,); a prompt, shape (1, tokens), is known already."""
        if value.ndim > 1:
            return
        self._ids += value.tolist()
        text = self.encoder.tokenizer.decode(self._ids, skip_special_tokens=True)
        # A character of several bytes may have come in parts.
        text = text.rstrip("\N{REPLACEMENT CHARACTER}")
        print(text[len(self._shown) :], end="", flush=True)
        self._shown = text

    def end(self) -> None:
        """End the line."""
        print(flush=True)


def _of_our_own(
    network: torch.nn.Module, ids: Tensor, encoder: Encoder, options: argparse.Namespace
) -> Iterator[Tensor]:
    assert isinstance(network, SpikingNetwork)
    if options.timesteps is not None:
        raise ConfigurationError(t("cli.generate_own_timesteps"))
    return continuation(
        network,
        ids,
        options.tokens,
        temperature=options.temperature,
        top_k=options.top_k,
        end=encoder.eos_id,
        generator=torch.Generator().manual_seed(options.seed),
    )


def _of_a_converted(
    network: SpikingModel,
    ids: Tensor,
    encoder: Encoder,
    printer: Printer,
    options: argparse.Namespace,
) -> None:
    if options.timesteps is not None:
        network.timesteps = options.timesteps
    torch.manual_seed(options.seed)
    drawing = {"do_sample": False}
    if options.temperature > 0:
        drawing = {"do_sample": True, "temperature": options.temperature, "top_k": options.top_k}
    network.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=options.tokens,
        pad_token_id=encoder.pad_id,
        streamer=printer,
        **drawing,
    )


def _encoder(run: LoadedRun) -> Encoder:
    """Return the tokenizer of a run's language model."""
    own = isinstance(run.model, SpikingNetwork) and isinstance(run.model.head, CausalLMHead)
    if not own and not (isinstance(run.model, SpikingModel) and run.model.generates):
        raise ConfigurationError(
            t("cli.no_language_model", folder=run.folder, network=type(run.model).__name__)
        )
    if not own:
        return pretrained_encoder(str(RunFolder(run.folder).converted))
    given = run.results.data
    if given is not None and given.tokenizer is not None:
        return encoder_from(given.tokenizer)
    name = run.config.data.get("tokenizer")
    if not name:
        raise ConfigurationError(t("cli.no_tokenizer", folder=run.folder))
    return pretrained_encoder(str(name))


def _prompt(run: LoadedRun, encoder: Encoder, prompt: str) -> Tensor:
    (ids,) = encoder.encode([prompt])
    packed = run.config.data.get("packing", False)
    if encoder.trained and not packed and encoder.bos_id is not None:
        ids = [encoder.bos_id, *ids]
    if not ids:
        raise ConfigurationError(t("cli.empty_prompt"))
    return torch.tensor([ids])
