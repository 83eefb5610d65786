"""The arguments of the commands that are tools."""

from __future__ import annotations

import argparse

from spikeformer.i18n import t


def command_parser(name: str, notes: str) -> argparse.ArgumentParser:
    """Return the parser of a command, which says in one line what it does.

    Args:
        name: The command, the first word after `spikeformer`.
        notes: What `--help` says below the arguments: an example at least.
    """
    return argparse.ArgumentParser(
        f"spikeformer {name}",
        description=t(f"cli.command_{name}"),
        epilog=notes,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
