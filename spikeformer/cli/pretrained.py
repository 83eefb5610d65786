"""`spikeformer models`: the networks that come with the package."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from spikeformer.cli.parser import command_parser
from spikeformer.cli.text import table
from spikeformer.config import BUNDLED, RunRecord, pretrained_names, run_of_network
from spikeformer.i18n import format_number, format_percentage, t


def models(arguments: Sequence[str]) -> int:
    """Print the networks that come with the package, as a table or as JSON; return 0.

    Args:
        arguments: What follows `models` on the command line.
    """
    parser = command_parser("models", "  spikeformer models")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    chosen = parser.parse_args(arguments)
    found = {name: run_of_network(BUNDLED / name) or RunRecord() for name in pretrained_names()}
    if chosen.json:
        content = {name: asdict(run) for name, run in found.items()}
        print(json.dumps(content, indent=2, ensure_ascii=False))
        return 0
    heads = [t(f"cli.models_{column}") for column in _COLUMNS]
    rows = [heads, *(_row(name, run) for name, run in found.items())]
    print("\n".join(table(rows, names=_COLUMNS.index("parameters"))))
    print(f"\n{t('cli.models_use', name='digits')}")
    return 0


_COLUMNS = ("name", "data", "model", "parameters", "timesteps", "accuracy")


def _row(name: str, run: RunRecord) -> list[str]:
    accuracy, parameters = run.results.get("accuracy"), run.results.get("parameters")
    return [
        name,
        run.choices.get("data", "-"),
        run.choices.get("model", "-"),
        "-" if parameters is None else format_number(parameters, ",.0f"),
        str(run.settings.get("timesteps", "-")),
        "-" if accuracy is None else format_percentage(accuracy, decimals=2),
    ]
