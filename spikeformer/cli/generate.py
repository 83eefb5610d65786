"""`spikeformer generate`: a run's language model goes on with a text."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from spikeformer.cli.parser import command_parser
from spikeformer.i18n import t
from spikeformer.runs import TextGenerator, load_run


def generate(arguments: Sequence[str]) -> int:
    """Print a prompt and what a run's language model makes of it, as it comes; return 0.

    Args:
        arguments: What follows `generate` on the command line.

    Raises:
        ConfigurationError: The run has no language model, or its tokenizer is not there.
        ConversionError: A converted model cannot take the prompt.
    """
    options = vars(make_parser().parse_args(arguments))
    generator, prompt = TextGenerator(load_run(options.pop("run"))), options.pop("prompt")
    unsaid = [prompt]  # an error comes before it

    def show(text: str) -> None:
        print(*unsaid, text, sep="", end="", flush=True)
        unsaid.clear()

    generator.generate(prompt, show, **options)
    print(*unsaid, sep="", flush=True)
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of `spikeformer generate`."""
    example = '  spikeformer generate outputs/RUN --prompt "Once upon a time"'
    parser = command_parser("generate", example)
    parser.add_argument("run", type=Path, metavar="RUN", help=t("cli.run_folder"))
    parser.add_argument("--prompt", required=True, help=t("cli.generate_prompt"))
    parser.add_argument("--tokens", type=int, default=50, help=t("cli.generate_tokens"))
    parser.add_argument(
        "--temperature", type=float, default=0.0, help=t("cli.generate_temperature")
    )
    parser.add_argument("--top-k", type=int, help=t("cli.generate_top_k"))
    parser.add_argument("--timesteps", type=int, help=t("cli.generate_timesteps"))
    parser.add_argument("--seed", type=int, default=0, help=t("cli.generate_seed"))
    return parser
